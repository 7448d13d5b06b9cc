#include "spatial/split_rules.hpp"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "halftone/spatial/exchange.hpp"
#include "halftone/spatial/operators.hpp"
#include "spatial/local_rows.hpp"
#include "spatial/upsampled_rows.hpp"

namespace halftone::internal {
namespace {

using Rule = SplitRule (*)(const NodeView&);

/// The name without namespace, and without the underscore of operators that write in place.
std::string_view plain_name(const std::string& op) {
  std::string_view name = op;
  if (!name.starts_with("aten::")) return {};
  name.remove_prefix(6);
  if (name.ends_with('_') && !name.ends_with("__")) name.remove_suffix(1);
  return name;
}

/// Replaces element `index` of a list of numbers.
c10::IValue with_number(const c10::IValue& list, std::size_t index, std::int64_t number) {
  auto numbers = list.toIntVector();
  if (numbers.size() == 1 && index < 2) numbers.resize(2, numbers[0]);
  numbers.at(index) = number;
  return numbers;
}

std::int64_t result_rows(const NodeView& node) { return node.shape(node.results()[0])[2].offset; }

/// An operator on windows: fetches their rows, changes other arguments by `adapt`, so that the operator takes these
/// rows as they are, and calls it.
SplitResult windowed(const NodeView& node, const RowWindow& window, double fill,
                     std::function<void(std::vector<c10::IValue>& stack)> adapt) {
  return {[window, fill, adapt = std::move(adapt), rows = result_rows(node)](const SplitCall& call) {
    const RowSplit outputs = split_evenly(rows, call.communicator.size());
    const SplitImage image{call.stack[0].toTensor(), call.image};
    call.stack[0] = window_rows(image, window, outputs, fill, call.communicator);
    adapt(call.stack);
    call.op.callBoxed(call.stack);
    call.stack[0] = without_dummy(call.stack[0].toTensor(), outputs, call.communicator.rank());
  }};
}

SplitRule convolution(const NodeView& node) {
  if (node.flag(6)) return NotSplit{"transposed convolutions are not split"};
  const RowWindow window{node.shape(std::get<ValueRef>(node.node().arguments[1]).id)[2].offset, node.extent(3, {1})[0],
                         node.extent(4, {0})[0], node.extent(5, {1})[0]};
  return windowed(node, window, 0, [](auto& stack) { stack[4] = with_number(stack[4], 0, 0); });
}

SplitRule max_pool(const NodeView& node) {
  const auto kernel = node.extent(1, {1});
  const RowWindow window{kernel[0], node.extent(2, kernel)[0], node.extent(3, {0})[0], node.extent(4, {1})[0]};
  return windowed(node, window, -std::numeric_limits<double>::infinity(), [](auto& stack) {
    if (!stack[3].toIntVector().empty()) stack[3] = with_number(stack[3], 0, 0);
  });
}

SplitRule avg_pool(const NodeView& node) {
  const auto pair = [](const std::vector<std::int64_t>& list) { return Extent2d{list[0], list[1]}; };
  const auto kernel = node.extent(1, {1});
  SpatialPoolOptions options{.kernel = pair(kernel),
                             .stride = pair(node.extent(2, kernel)),
                             .padding = pair(node.extent(3, {0})),
                             .ceil_mode = node.flag(4),
                             .count_include_pad = node.flag(5)};
  if (node.has(6)) options.divisor_override = node.integer(6);
  return SplitResult{[options](const SplitCall& call) {
    const SplitImage image{call.stack[0].toTensor(), call.image};
    call.stack = {spatial_avg_pool2d(image, options, call.communicator).rows};
  }};
}

/// Widths first, then heights: left, right, above, below.
SplitRule constant_pad(const NodeView& node) {
  constexpr std::size_t kAbove = 2;
  if (node.op() == "aten::pad") {
    const auto* mode = std::get_if<std::string>(&node.node().arguments[2]);
    if (mode == nullptr || *mode != "constant") return NotSplit{"only padding with a constant is split"};
  }
  const auto padding = node.integers(1);
  if (padding.size() <= kAbove) return LocalRows{};
  const std::size_t value = node.op() == "aten::pad" ? 3 : 2;
  double fill = 0;
  if (const auto* number = std::get_if<double>(&node.node().arguments[value])) fill = *number;
  if (const auto* number = std::get_if<SymInt>(&node.node().arguments[value]))
    fill = static_cast<double>(number->offset);
  return windowed(node, {.padding = padding[kAbove]}, fill, [](auto& stack) {
    stack[1] = with_number(stack[1], kAbove, 0);
    stack[1] = with_number(stack[1], kAbove + 1, 0);
  });
}

SplitRule slice(const NodeView& node) {
  if (node.dimension(node.integer(1)) != 2) return LocalRows{};
  const std::int64_t rows = node.image_rows();
  std::int64_t start = node.integer(2);
  start = std::clamp<std::int64_t>(start < 0 ? start + rows : start, 0, rows);
  return windowed(node, {.stride = node.integer(4, 1), .padding = -start}, 0, [](auto& stack) {
    stack[2] = std::int64_t{0};
    stack[3] = std::numeric_limits<std::int64_t>::max();
  });
}

/// Reductions over dimensions, of which the rows may be one.
template <bool mean>
SplitRule reduce(const NodeView& node) {
  std::vector<std::int64_t> dims;
  bool keep = false;
  const bool has_dims = node.node().overload.starts_with("dim");
  if (has_dims) dims = node.integers(1);
  if (has_dims) keep = node.flag(2);
  if (node.has(has_dims ? 3 : 1)) return NotSplit{"reductions to another type are not split"};
  if (dims.empty()) dims = {0, 1, 2, 3};
  for (auto& dim : dims) dim = node.dimension(dim);
  if (std::find(dims.begin(), dims.end(), 2) == dims.end()) {
    if (keep) return LocalRows{};
    return NotSplit{"its result has rows in another dimension"};
  }
  return WholeResult{[dims, keep](const SplitCall& call) {
    const at::Tensor x = call.stack[0].toTensor();
    at::Tensor result = sum_over_ranks(x.sum(dims, keep), call.communicator);
    std::int64_t count = 1;
    for (const std::int64_t dim : dims) count *= dim == 2 ? call.image.rows() : x.size(dim);
    if (mean) result = result / static_cast<double>(count);
    call.stack = {result};
  }};
}

SplitRule adaptive_avg_pool(const NodeView& node) {
  for (const std::int64_t size : node.integers(1))
    if (size != 1) return NotSplit{"adaptive pooling is split where its result is 1 x 1"};
  return WholeResult{[](const SplitCall& call) {
    call.stack = {spatial_mean({call.stack[0].toTensor(), call.image}, call.communicator)};
  }};
}

/// Of lists of images, or with a dimension as argument `at`.
template <std::size_t at, std::int64_t missing>
SplitRule along_dimension(const NodeView& node) {
  if (node.dimension(node.integer(at, missing)) == 2) return NotSplit{"it works along the rows"};
  return LocalRows{};
}

/// Arguments: image, size or none, then for bilinear `align_corners`, then factors: a list, or one by one.
template <Upsampling how>
SplitRule upsample(const NodeView& node) {
  constexpr std::size_t kFactors = how == Upsampling::Bilinear ? 3 : 2;
  if (how == Upsampling::Bilinear && node.flag(2)) return NotSplit{"upsampling that aligns corners is not split"};
  const std::int64_t factor = result_rows(node) / node.image_rows();
  if (factor * node.image_rows() != result_rows(node)) return NotSplit{"upsampling is split by whole factors only"};
  const auto& given = node.node().arguments[kFactors];
  double named = static_cast<double>(factor);
  if (const auto* list = std::get_if<std::vector<double>>(&given); list != nullptr && !list->empty())
    named = list->at(0);
  if (const auto* number = std::get_if<double>(&given)) named = *number;
  if (named != static_cast<double>(factor)) return NotSplit{"upsampling is split by whole factors only"};
  return SplitResult{[factor](const SplitCall& call) {
    const auto on_rows = [&](const at::Tensor& rows) {
      std::vector<c10::IValue> stack = call.stack;
      stack[0] = rows;
      if (!stack[1].isNone()) stack[1] = with_number(stack[1], 0, factor * rows.size(2));
      call.op.callBoxed(stack);
      return stack[0].toTensor();
    };
    const SplitImage image{call.stack[0].toTensor(), call.image};
    call.stack = {upsampled_rows(image, factor, how, on_rows, call.communicator).rows};
  }};
}

const std::map<std::string_view, Rule> kRules{
    {"convolution", convolution},
    {"max_pool2d", max_pool},
    {"avg_pool2d", avg_pool},
    {"constant_pad_nd", constant_pad},
    {"pad", constant_pad},
    {"slice", slice},
    {"mean", reduce<true>},
    {"sum", reduce<false>},
    {"adaptive_avg_pool2d", adaptive_avg_pool},
    {"_adaptive_avg_pool2d", adaptive_avg_pool},
    {"cat", along_dimension<1, 0>},
    {"concat", along_dimension<1, 0>},
    {"softmax", along_dimension<1, 0>},
    {"_softmax", along_dimension<1, 0>},
    {"log_softmax", along_dimension<1, 0>},
    {"_log_softmax", along_dimension<1, 0>},
    {"chunk", along_dimension<2, 0>},
    {"unsafe_chunk", along_dimension<2, 0>},
    {"split", along_dimension<2, 0>},
    {"unsafe_split", along_dimension<2, 0>},
    {"split_with_sizes", along_dimension<2, 0>},
    {"upsample_nearest2d", upsample<Upsampling::Nearest>},
    {"upsample_bilinear2d", upsample<Upsampling::Bilinear>},
};

SplitRule choose(const NodeView& node) {
  const std::string_view name = plain_name(node.op());
  if (is_local_operator(name)) {
    if (name == "batch_norm" && node.flag(5)) return NotSplit{"batch norm in training has statistics of the batch"};
    return LocalRows{};
  }
  const auto rule = kRules.find(name);
  if (rule == kRules.end() || !node.node().written.empty())
    return NotSplit{"there is no rule for computing it on some of the rows"};
  const bool takes_list = name == "cat" || name == "concat";
  if (!takes_list && (!node.image() || !node.is_split(*node.image())))
    return NotSplit{"it reads rows as another argument than its first"};
  return rule->second(node);
}

}  // namespace

SplitRule find_split_rule(const NodeView& node) {
  SplitRule rule = choose(node);
  if (std::holds_alternative<LocalRows>(rule))
    if (std::string why = why_not_local(node); !why.empty()) return NotSplit{std::move(why)};
  return rule;
}

}  // namespace halftone::internal
