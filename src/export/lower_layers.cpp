#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "core/scalar_type.hpp"
#include "export/lowering.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

/// [a, b] as (a, b, a, b): LibTorch pads both sides alike, ONNX lists all befores and then all afters.
std::vector<std::int64_t> both_sides(std::vector<std::int64_t> padding) {
  const auto dims = padding.size();
  padding.resize(2 * dims);
  std::copy_n(padding.begin(), dims, padding.begin() + static_cast<std::ptrdiff_t>(dims));
  return padding;
}

/// One number for each spatial dimension; a single one stands for all, none for `missing`.
std::vector<std::int64_t> spatial(const Lowering& to, std::size_t argument, std::size_t dims,
                                  const std::vector<std::int64_t>& missing) {
  std::vector<std::int64_t> numbers = to.has(argument) ? to.integers(argument) : missing;
  if (numbers.empty()) numbers = missing;
  if (numbers.size() == 1) numbers.resize(dims, numbers[0]);
  return numbers;
}

std::size_t spatial_dims(const Lowering& to) { return static_cast<std::size_t>(to.rank(to.id(0)) - 2); }

OnnxAttributes pooling(const Lowering& to) {
  const std::size_t dims = spatial_dims(to);
  const auto kernel = spatial(to, 1, dims, {1});
  return {{"kernel_shape", kernel},
          {"strides", spatial(to, 2, dims, kernel)},
          {"pads", both_sides(spatial(to, 3, dims, {0}))}};
}

void max_pool(Lowering& to) {
  OnnxAttributes attributes = pooling(to);
  attributes.emplace_back("dilations", spatial(to, 4, spatial_dims(to), {1}));
  attributes.emplace_back("ceil_mode", std::int64_t{to.flag(5)});
  to.finish("MaxPool", {to.arg(0)}, std::move(attributes));
}

void avg_pool(Lowering& to) {
  if (to.has(6)) to.refuse("a divisor of its own has no ONNX form here");
  OnnxAttributes attributes = pooling(to);
  attributes.emplace_back("ceil_mode", std::int64_t{to.flag(4)});
  attributes.emplace_back("count_include_pad", std::int64_t{to.flag(5)});
  to.finish("AveragePool", {to.arg(0)}, std::move(attributes));
}

/// To one value a channel, or to sizes that divide the input's.
void adaptive_avg_pool(Lowering& to) {
  const Shape& from = to.value(to.id(0)).shape;
  const Shape& shape = to.value(to.output_id()).shape;
  std::vector<std::int64_t> kernel;
  bool to_one = true;
  for (std::size_t i = from.size() - spatial_dims(to); i < from.size(); ++i) {
    const std::int64_t size = to.size(shape[i]);
    to_one = to_one && size == 1;
    if (to.size(from[i]) % size != 0)
      to.refuse(message("sizes from ", to.size(from[i]), " to ", size, " do not divide: use a fixed pooling"));
    kernel.push_back(to.size(from[i]) / size);
  }
  if (to_one) return to.finish("GlobalAveragePool", {to.arg(0)});
  to.finish("AveragePool", {to.arg(0)}, {{"kernel_shape", kernel}, {"strides", kernel}});
}

/// mean and sum over some dimensions, or all.
void reduce(Lowering& to, const std::string& op, bool axes_are_input) {
  const ValueId source = to.id(0);
  std::vector<std::int64_t> axes;
  bool keep = false;
  if (to.node().overload == "dim" || to.node().overload == "dim_IntList") {
    if (to.has(1)) axes = to.integers(1);
    for (auto& axis : axes) axis += axis < 0 ? to.rank(source) : 0;
    keep = to.flag(2);
  }
  const OnnxName x = to.operand(0);
  OnnxAttributes attributes{{"keepdims", std::int64_t{keep}}};
  std::vector<OnnxName> inputs{x};
  if (!axes.empty() && axes_are_input) inputs.push_back(to.ints(axes));
  if (!axes.empty() && !axes_are_input) attributes.emplace_back("axes", axes);
  to.finish(op, std::move(inputs), std::move(attributes));
}

void mean(Lowering& to) { reduce(to, "ReduceMean", false); }
void sum(Lowering& to) { reduce(to, "ReduceSum", true); }

void softmax(Lowering& to) { to.finish("Softmax", {to.operand(0)}, {{"axis", to.axis(1, to.rank(to.id(0)))}}); }
void log_softmax(Lowering& to) { to.finish("LogSoftmax", {to.operand(0)}, {{"axis", to.axis(1, to.rank(to.id(0)))}}); }

/// A weight or bias; `missing` for each of `channels` where there is none.
OnnxName affine(Lowering& to, std::size_t argument, std::int64_t channels, double missing) {
  if (to.has(argument)) return to.arg(argument);
  return to.constant(at::full({channels}, missing, at::kFloat));
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
  const OnnxName weight = to.has(2) ? to.arg(2) : to.constant(at::ones(shape, at::kFloat));
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
  const OnnxName ones = to.constant(at::ones({groups}, at::kFloat));
  const OnnxName zeros = to.constant(at::zeros({groups}, at::kFloat));
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

/// The last two dimensions exchanged.
OnnxName transposed(Lowering& to, const OnnxName& x, std::int64_t rank) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(rank));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return to.emit("Transpose", {x}, {{"perm", order}});
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

/// softmax(q k^T scale + mask) v.
void attention(Lowering& to) {
  if (to.number(4) != 0) to.refuse("dropout belongs to training");
  const ValueId query = to.id(0);
  const DType dtype = to.value(query).dtype;
  const Shape& shape = to.value(query).shape;
  const double scale = to.has(6) ? to.number(6) : 1 / std::sqrt(static_cast<double>(to.size(shape.back())));
  const OnnxName keys = transposed(to, to.arg(1), to.rank(to.id(1)));
  OnnxName scores = to.emit("MatMul", {to.arg(0), keys});
  scores = to.emit("Mul", {scores, to.scalar(scale, dtype)});
  if (const OnnxName mask = attention_mask(to, dtype); !mask.empty()) scores = to.emit("Add", {scores, mask});
  const OnnxName shares = to.emit("Softmax", {scores}, {{"axis", std::int64_t{-1}}});
  to.finish("MatMul", {shares, to.arg(2)});
}

void embedding(Lowering& to) { to.finish("Gather", {to.arg(0), to.arg(1)}, {{"axis", std::int64_t{0}}}); }

void resize(Lowering& to, const std::string& mode, const std::string& coordinates) {
  const Shape& shape = to.value(to.output_id()).shape;
  const Shape& from = to.value(to.id(0)).shape;
  std::vector<float> scales;
  for (std::size_t i = 0; i < shape.size(); ++i)
    scales.push_back(i < 2 ? 1.0F : static_cast<float>(to.size(shape[i])) / static_cast<float>(to.size(from[i])));
  to.finish("Resize", {to.arg(0), "", to.constant(at::tensor(scales))},
            {{"mode", mode}, {"coordinate_transformation_mode", coordinates}, {"nearest_mode", std::string("floor")}});
}

void upsample_nearest(Lowering& to) { resize(to, "nearest", "asymmetric"); }
void upsample_linear(Lowering& to) { resize(to, "linear", to.flag(2) ? "align_corners" : "half_pixel"); }

}  // namespace

void add_layers(LoweringTable& table) {
  table.insert({{"aten::max_pool1d", max_pool},
                {"aten::max_pool2d", max_pool},
                {"aten::max_pool3d", max_pool},
                {"aten::avg_pool2d", avg_pool},
                {"aten::avg_pool3d", avg_pool},
                {"aten::adaptive_avg_pool1d", adaptive_avg_pool},
                {"aten::adaptive_avg_pool2d", adaptive_avg_pool},
                {"aten::adaptive_avg_pool3d", adaptive_avg_pool},
                {"aten::mean", mean},
                {"aten::sum", sum},
                {"aten::softmax", softmax},
                {"aten::_softmax", softmax},
                {"aten::log_softmax", log_softmax},
                {"aten::_log_softmax", log_softmax},
                {"aten::batch_norm", batch_norm},
                {"aten::layer_norm", layer_norm},
                {"aten::group_norm", group_norm},
                {"aten::matmul", matmul},
                {"aten::bmm", matmul},
                {"aten::mm", matmul},
                {"aten::addmm", addmm},
                {"aten::scaled_dot_product_attention", attention},
                {"aten::embedding", embedding},
                {"aten::upsample_nearest2d", upsample_nearest},
                {"aten::upsample_bilinear2d", upsample_linear}});
}

}  // namespace halftone::internal
