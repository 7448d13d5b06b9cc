#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "core/scalar_type.hpp"
#include "export/lowering.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

/// mean and sum over some dimensions, or all.
void reduce(Lowering& to, const std::string& op) {
  const ValueId source = to.id(0);
  std::vector<std::int64_t> axes;
  bool keep = false;
  if (to.node().overload == "dim" || to.node().overload == "dim_IntList") {
    if (to.has(1)) axes = to.integers(1);
    for (auto& axis : axes) axis += axis < 0 ? to.rank(source) : 0;
    keep = to.flag(2);
  }
  std::vector<OnnxName> inputs{to.operand(0)};
  if (!axes.empty()) inputs.push_back(to.ints(axes));
  to.finish(op, std::move(inputs), {{"keepdims", std::int64_t{keep}}});
}

void mean(Lowering& to) { reduce(to, "ReduceMean"); }
void sum(Lowering& to) { reduce(to, "ReduceSum"); }

void softmax(Lowering& to) { to.finish("Softmax", {to.operand(0)}, {{"axis", to.axis(1, to.rank(to.id(0)))}}); }
void log_softmax(Lowering& to) { to.finish("LogSoftmax", {to.operand(0)}, {{"axis", to.axis(1, to.rank(to.id(0)))}}); }

/// A weight or bias; `missing` for each of `channels` where there is none.
OnnxName affine(Lowering& to, std::size_t argument, std::int64_t channels, double missing) {
  if (to.has(argument)) return to.arg(argument);
  return to.constant(at::full({channels}, missing, to_scalar_type(to.output_dtype())));
}

void batch_norm(Lowering& to) {
  if (!to.has(3) || !to.has(4)) to.refuse("batch norm without running statistics has no ONNX form");
  const std::int64_t channels = to.size(to.value(to.id(0)).shape[1]);
  to.finish("BatchNormalization",
            {to.arg(0), affine(to, 1, channels, 1), affine(to, 2, channels, 0), to.arg(3), to.arg(4)},
            {{"epsilon", static_cast<float>(to.number(7))}});
}

/// Over the last dimensions.
void layer_norm(Lowering& to) {
  const auto shape = to.integers(1);
  const OnnxName weight = to.has(2) ? to.arg(2) : to.constant(at::ones(shape, to_scalar_type(to.output_dtype())));
  std::vector<OnnxName> inputs{to.arg(0), weight};
  if (to.has(3)) inputs.push_back(to.arg(3));
  to.finish("LayerNormalization", std::move(inputs),
            {{"axis", -std::ssize(shape)}, {"epsilon", static_cast<float>(to.number(4))}});
}

/// Normalise [n, groups, rest], then scale and shift by channel.
void group_norm(Lowering& to) {
  const Shape& shape = to.value(to.id(0)).shape;
  const std::int64_t groups = to.integer(1);
  const std::int64_t channels = to.size(shape[1]);
  const at::ScalarType type = to_scalar_type(to.output_dtype());
  const OnnxName ones = to.constant(at::ones({groups}, type));
  const OnnxName zeros = to.constant(at::zeros({groups}, type));
  const OnnxName grouped = to.emit("Reshape", {to.arg(0), to.ints({0, groups, -1})});
  const OnnxName normal =
      to.emit("InstanceNormalization", {grouped, ones, zeros}, {{"epsilon", static_cast<float>(to.number(4))}});
  const OnnxName back = to.emit("Reshape", {normal, to.ints(to.reshape_target({}, shape))});
  std::vector<std::int64_t> along(shape.size() - 1, 1);
  along[0] = channels;
  const OnnxName weight = to.emit("Reshape", {affine(to, 2, channels, 1), to.ints(along)});
  const OnnxName bias = to.emit("Reshape", {affine(to, 3, channels, 0), to.ints(along)});
  to.finish("Add", {to.emit("Mul", {back, weight}), bias});
}

void matmul(Lowering& to) { to.finish("MatMul", {to.arg(0), to.arg(1)}); }

/// beta c + alpha a b.
void addmm(Lowering& to) {
  if (to.number(3) != 1 || to.number(4) != 1) to.refuse("factors other than 1 have no ONNX form here");
  to.finish("Add", {to.emit("MatMul", {to.arg(1), to.arg(2)}), to.arg(0)});
}

/// What "Where" takes to put 0 for the 0 / 0 that a row gives which is masked from end to end, as LibTorch does.
std::vector<OnnxName> zero_for_nan(Lowering& to, const OnnxName& shares) {
  return {to.emit("IsNaN", {shares}), to.scalar(0, to.output_dtype()), shares};
}

void safe_softmax(Lowering& to) {
  const OnnxName shares = to.emit("Softmax", {to.operand(0)}, {{"axis", to.axis(1, to.rank(to.id(0)))}});
  to.finish("Where", zero_for_nan(to, shares));
}

OnnxName attention_mask(Lowering& to, DType dtype) {
  const bool causal = to.flag(5);
  if (!to.has(3) && !causal) return {};
  if (causal) {
    const auto length = [&](std::size_t argument) {
      const Shape& shape = to.value(to.id(argument)).shape;
      return to.size(shape[shape.size() - 2]);
    };
    const at::Tensor mask = at::full({length(0), length(1)}, -std::numeric_limits<float>::infinity(), at::kFloat);
    return to.constant(mask.triu(1).to(to_scalar_type(dtype)));
  }
  if (to.value(to.id(3)).dtype != DType::Bool) return to.operand(3);
  return to.emit("Where", {to.arg(3), to.scalar(0, dtype), to.scalar(-std::numeric_limits<double>::infinity(), dtype)});
}

/// Whether the mask may leave a row nothing to attend to.
bool may_mask_rows(const Lowering& to) {
  if (!to.has(3)) return false;
  if (!to.value(to.id(3)).is_data()) return true;
  const at::Tensor mask = to.tensor(to.id(3));
  const at::Tensor hidden = mask.scalar_type() == at::kBool ? mask.logical_not() : mask.isneginf();
  return hidden.all(-1).any().item<bool>();
}

/// softmax(q k^T scale + mask) v.
void attention(Lowering& to) {
  if (to.number(4) != 0) to.refuse("dropout belongs to training");
  if (to.has(7) && to.flag(7)) to.refuse("grouped queries have no ONNX form here: repeat keys and values");
  const ValueId query = to.id(0);
  const DType dtype = to.value(query).dtype;
  const Shape& shape = to.value(query).shape;
  const double scale = to.has(6) ? to.number(6) : 1 / std::sqrt(static_cast<double>(to.size(shape.back())));
  const OnnxName keys = to.emit("Transpose", {to.arg(1)}, {{"perm", last_two_exchanged(to.rank(to.id(1)))}});
  OnnxName scores = to.emit("MatMul", {to.arg(0), keys});
  scores = to.emit("Mul", {scores, to.scalar(scale, dtype)});
  if (const OnnxName mask = attention_mask(to, dtype); !mask.empty()) scores = to.emit("Add", {scores, mask});
  OnnxName shares = to.emit("Softmax", {scores}, {{"axis", std::int64_t{-1}}});
  if (may_mask_rows(to)) shares = to.emit("Where", zero_for_nan(to, shares));
  to.finish("MatMul", {shares, to.arg(2)});
}

void embedding(Lowering& to) { to.finish("Gather", {to.arg(0), to.arg(1)}, {{"axis", std::int64_t{0}}}); }

}  // namespace

void add_layers(LoweringTable& table) {
  table.insert({{"aten::mean", mean},
                {"aten::sum", sum},
                {"aten::softmax", softmax},
                {"aten::_softmax", softmax},
                {"aten::_safe_softmax", safe_softmax},
                {"aten::log_softmax", log_softmax},
                {"aten::_log_softmax", log_softmax},
                {"aten::batch_norm", batch_norm},
                {"aten::layer_norm", layer_norm},
                {"aten::group_norm", group_norm},
                {"aten::matmul", matmul},
                {"aten::bmm", matmul},
                {"aten::mm", matmul},
                {"aten::addmm", addmm},
                {"aten::baddbmm", addmm},
                {"aten::scaled_dot_product_attention", attention},
                {"aten::embedding", embedding}});
}

}  // namespace halftone::internal
