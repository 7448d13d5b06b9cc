#include <algorithm>
#include <limits>
#include <numeric>

#include "export/lowering.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

/// Anything that keeps the elements and their order: the output's shape says all.
void reshape(Lowering& to) {
  const Shape& from = to.value(to.id(0)).shape;
  const Shape& shape = to.value(to.output_id()).shape;
  if (to.value(to.id(0)).dtype != to.output_dtype()) to.refuse("bytes read as another type have no ONNX form");
  if (from == shape) return to.finish_as(to.arg(0));
  to.finish("Reshape", {to.arg(0), to.ints(to.reshape_target(from, shape))});
}

void transpose_by(Lowering& to, std::vector<std::int64_t> order) {
  to.finish("Transpose", {to.arg(0)}, {{"perm", std::move(order)}});
}

std::vector<std::int64_t> identity(std::int64_t rank) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

void permute(Lowering& to) {
  const std::int64_t rank = to.rank(to.id(0));
  auto order = to.integers(1);
  for (auto& axis : order) axis += axis < 0 ? rank : 0;
  transpose_by(to, std::move(order));
}

void transpose(Lowering& to) {
  const std::int64_t rank = to.rank(to.id(0));
  auto order = identity(rank);
  if (rank > 0)
    std::swap(order[static_cast<std::size_t>(to.axis(1, rank))], order[static_cast<std::size_t>(to.axis(2, rank))]);
  transpose_by(to, std::move(order));
}

void transpose_matrices(Lowering& to) { transpose_by(to, last_two_exchanged(to.rank(to.id(0)))); }

/// All dimensions the other way round; for matrices the transposition.
void reverse_dims(Lowering& to) {
  auto order = identity(to.rank(to.id(0)));
  std::reverse(order.begin(), order.end());
  transpose_by(to, std::move(order));
}

void expand(Lowering& to) {
  const Shape& from = to.value(to.id(0)).shape;
  const Shape& shape = to.value(to.output_id()).shape;
  if (from == shape) return to.finish_as(to.arg(0));
  std::vector<std::int64_t> target;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::size_t added = shape.size() - from.size();
    // A size of 1 keeps what is there.
    const bool kept = i >= added && from[i - added] == shape[i];
    target.push_back(kept ? 1 : to.size(shape[i]));
  }
  to.finish("Expand", {to.arg(0), to.ints(target)});
}

/// x[start:end:step] along one axis.
void slice_along(Lowering& to, const OnnxName& x, std::int64_t axis, std::int64_t start, std::int64_t end,
                 std::int64_t step) {
  to.finish("Slice", {x, to.ints({start}), to.ints({end}), to.ints({axis}), to.ints({step})});
}

void slice(Lowering& to) {
  const ValueId source = to.id(0);
  if (to.value(source).shape == to.value(to.output_id()).shape) return to.finish_as(to.arg(0));
  const std::int64_t start = to.has(2) ? to.integer(2) : 0;
  const std::int64_t end = to.has(3) ? to.integer(3) : std::numeric_limits<std::int64_t>::max();
  slice_along(to, to.arg(0), to.axis(1, to.rank(source)), start, end, to.integer(4));
}

void narrow(Lowering& to) {
  const ValueId source = to.id(0);
  const std::int64_t axis = to.axis(1, to.rank(source));
  std::int64_t start = to.integer(2);
  if (start < 0) start += to.size(to.value(source).shape[static_cast<std::size_t>(axis)]);
  slice_along(to, to.arg(0), axis, start, start + to.integer(3), 1);
}

void select(Lowering& to) {
  const OnnxName index = to.scalar(static_cast<double>(to.integer(2)), DType::Int64);
  to.finish("Gather", {to.arg(0), index}, {{"axis", to.axis(1, to.rank(to.id(0)))}});
}

std::vector<ValueId> list(const Lowering& to, std::size_t argument) {
  const auto* ids = std::get_if<std::vector<std::optional<ValueId>>>(&to.node().arguments[argument]);
  if (ids == nullptr) to.refuse("a list of tensors is needed");
  std::vector<ValueId> found;
  for (const auto& id : *ids) {
    if (!id) to.refuse("a tensor in its list is missing");
    found.push_back(*id);
  }
  return found;
}

void cat(Lowering& to) {
  const ValueId output = to.output_id();
  std::vector<OnnxName> names;
  for (const ValueId id : list(to, 0)) names.push_back(to.in_as(id, to.value(output).dtype));
  to.finish("Concat", std::move(names), {{"axis", to.axis(1, to.rank(output))}});
}

void stack(Lowering& to) {
  const Value& output = to.value(to.output_id());
  const std::int64_t axis = to.axis(1, std::ssize(output.shape));
  std::vector<OnnxName> names;
  for (const ValueId id : list(to, 0))
    names.push_back(to.emit("Unsqueeze", {to.in_as(id, output.dtype), to.ints({axis})}));
  to.finish("Concat", std::move(names), {{"axis", axis}});
}

/// chunk, split, unsafe_split, split_with_sizes: the outputs' shapes say where to cut.
void split(Lowering& to) {
  const std::int64_t axis = to.axis(2, to.rank(to.id(0)));
  std::vector<std::int64_t> sizes;
  for (const ValueId id : to.node().outputs.at(0).ids)
    sizes.push_back(to.size(to.value(id).shape[static_cast<std::size_t>(axis)]));
  to.finish("Split", {to.arg(0), to.ints(sizes)}, {{"axis", axis}});
}

/// One output for each index along an axis.
void unbind(Lowering& to) {
  const std::int64_t axis = to.axis(1, to.rank(to.id(0)));
  const std::size_t count = to.node().outputs.at(0).ids.size();
  for (std::size_t i = 0; i < count; ++i) {
    const OnnxName index = to.scalar(static_cast<double>(i), DType::Int64);
    to.finish_as(to.emit("Gather", {to.arg(0), index}, {{"axis", axis}}), i);
  }
}

/// LibTorch lists (before, after) from the last dimension on, ONNX all befores and then all afters.
void pad_with(Lowering& to, const std::string& mode, const OnnxName& value) {
  const std::vector<std::int64_t> pairs = to.integers(1);
  const auto rank = static_cast<std::size_t>(to.rank(to.id(0)));
  std::vector<std::int64_t> pads(2 * rank);
  for (std::size_t i = 0; i < pairs.size() / 2 && i < rank; ++i) {
    pads[rank - 1 - i] = pairs[2 * i];
    pads[2 * rank - 1 - i] = pairs[2 * i + 1];
  }
  std::vector<OnnxName> inputs{to.arg(0), to.ints(pads)};
  if (!value.empty()) inputs.push_back(value);
  to.finish("Pad", std::move(inputs), {{"mode", mode}});
}

void constant_pad(Lowering& to) {
  pad_with(to, "constant", to.scalar(to.has(2) ? to.number(2) : 0, to.output_dtype()));
}

void reflection_pad(Lowering& to) { pad_with(to, "reflect", {}); }
void replication_pad(Lowering& to) { pad_with(to, "edge", {}); }

void pad(Lowering& to) {
  if (to.text(2) == "constant")
    return pad_with(to, "constant", to.scalar(to.has(3) ? to.number(3) : 0, to.output_dtype()));
  if (to.text(2) == "reflect") return reflection_pad(to);
  if (to.text(2) == "replicate") return replication_pad(to);
  to.refuse(message("padding mode \"", to.text(2), "\" has no ONNX form here"));
}

void pixel_shuffle(Lowering& to) {
  if (to.rank(to.id(0)) != 4) to.refuse("only [n, c, h, w] has an ONNX form");
  to.finish("DepthToSpace", {to.arg(0)}, {{"blocksize", to.integer(1)}, {"mode", std::string("CRD")}});
}

/// Tensors that are filled with one number and know their shape: zeros, ones, full and their kin.
void fill(Lowering& to, double number) {
  const Value& output = to.value(to.output_id());
  const OnnxName filling = to.scalar(number, output.dtype);
  // zeros_like and its kin have the shape of what they are given, the batch included.
  if (std::holds_alternative<ValueRef>(to.node().arguments.at(0)) && to.value(to.id(0)).shape == output.shape)
    return to.finish("Expand", {filling, to.emit("Shape", {to.arg(0)})});
  std::vector<std::int64_t> shape;
  for (const auto& size : output.shape) shape.push_back(to.size(size));
  to.finish("Expand", {filling, to.ints(shape)});
}

void zeros(Lowering& to) { fill(to, 0); }
void ones(Lowering& to) { fill(to, 1); }
void full(Lowering& to) { fill(to, to.number(1)); }

}  // namespace

void add_shapes(LoweringTable& table) {
  table.insert({{"aten::view", reshape},
                {"aten::reshape", reshape},
                {"aten::_unsafe_view", reshape},
                {"aten::_reshape_alias", reshape},
                {"aten::flatten", reshape},
                {"aten::unflatten", reshape},
                {"aten::squeeze", reshape},
                {"aten::unsqueeze", reshape},
                {"aten::view_as", reshape},
                {"aten::reshape_as", reshape},
                {"aten::permute", permute},
                {"aten::transpose", transpose},
                {"aten::swapaxes", transpose},
                {"aten::t", reverse_dims},
                {"aten::numpy_T", reverse_dims},
                {"aten::mT", transpose_matrices},
                {"aten::expand", expand},
                {"aten::expand_as", expand},
                {"aten::slice", slice},
                {"aten::narrow", narrow},
                {"aten::select", select},
                {"aten::cat", cat},
                {"aten::concat", cat},
                {"aten::stack", stack},
                {"aten::chunk", split},
                {"aten::split", split},
                {"aten::unsafe_split", split},
                {"aten::unsafe_chunk", split},
                {"aten::split_with_sizes", split},
                {"aten::unbind", unbind},
                {"aten::constant_pad_nd", constant_pad},
                {"aten::reflection_pad1d", reflection_pad},
                {"aten::reflection_pad2d", reflection_pad},
                {"aten::replication_pad1d", replication_pad},
                {"aten::replication_pad2d", replication_pad},
                {"aten::pad", pad},
                {"aten::pixel_shuffle", pixel_shuffle},
                {"aten::empty_like", zeros},  // for something to be written over it
                {"aten::fill", full},
                {"aten::zeros", zeros},
                {"aten::zeros_like", zeros},
                {"aten::new_zeros", zeros},
                {"aten::ones", ones},
                {"aten::ones_like", ones},
                {"aten::new_ones", ones},
                {"aten::full", full},
                {"aten::full_like", full}});
}

}  // namespace halftone::internal
