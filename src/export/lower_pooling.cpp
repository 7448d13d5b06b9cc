#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "export/absorbed_padding.hpp"
#include "export/lowering.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

/// One number for each spatial dimension; a single one stands for all, none for `missing`.
std::vector<std::int64_t> spatial(const Lowering& to, std::size_t argument, std::size_t dims,
                                  const std::vector<std::int64_t>& missing) {
  std::vector<std::int64_t> numbers = to.has(argument) ? to.integers(argument) : missing;
  if (numbers.empty()) numbers = missing;
  if (numbers.size() == 1) numbers.resize(dims, numbers[0]);
  return numbers;
}

/// The number in the operator's name: "aten::max_pool2d" has 2.
std::size_t spatial_dims(const Lowering& to) {
  const std::string& op = to.node().op;
  const auto dims = static_cast<std::size_t>(op[op.size() - 2] - '0');
  if (static_cast<std::size_t>(to.rank(to.id(0))) != dims + 2)
    to.refuse(message("its input has ", to.rank(to.id(0)), " dimensions: ", dims + 2, ", with the batch, are needed"));
  return dims;
}

struct Pooling {
  std::vector<std::int64_t> kernel;
  std::vector<std::int64_t> strides;
  std::vector<std::int64_t> padding;
  std::vector<std::int64_t> dilation;
  std::vector<std::int64_t> beyond;  ///< how far the last window reaches beyond input and padding, as ceil_mode lets it
};

Pooling pooling(const Lowering& to, bool dilated) {
  const std::size_t dims = spatial_dims(to);
  const auto kernel = spatial(to, 1, dims, {1});
  const std::vector<std::int64_t> ones(dims, 1);
  Pooling p{
      kernel, spatial(to, 2, dims, kernel), spatial(to, 3, dims, {0}), dilated ? spatial(to, 4, dims, {1}) : ones, {}};
  for (std::size_t i = 0; i < dims; ++i) {
    const std::int64_t from = to.size(to.value(to.id(0)).shape[i + 2]) + 2 * p.padding[i];
    const std::int64_t last = (to.size(to.value(to.output_id()).shape[i + 2]) - 1) * p.strides[i];
    p.beyond.push_back(std::max<std::int64_t>(0, last + (p.kernel[i] - 1) * p.dilation[i] + 1 - from));
  }
  return p;
}

/// ONNX's own ceil_mode counts windows in another way: the padding says it.
std::vector<std::int64_t> pads(const Pooling& p) {
  auto pads = both_sides(p.padding);
  for (std::size_t i = 0; i < p.beyond.size(); ++i) pads[p.beyond.size() + i] += p.beyond[i];
  return pads;
}

/// What a Pad node takes for `pads` of the spatial dimensions, all befores and then all afters.
OnnxName spatial_pads(Lowering& to, const std::vector<std::int64_t>& pads) {
  const auto middle = pads.begin() + std::ssize(pads) / 2;
  std::vector<std::int64_t> all{0, 0};
  all.insert(all.end(), pads.begin(), middle);
  all.insert(all.end(), {0, 0});
  all.insert(all.end(), middle, pads.end());
  return to.ints(all);
}

void max_pool(Lowering& to) {
  const Pooling p = pooling(to, true);
  auto padding = pads(p);
  OnnxName x = to.arg(0);
  // Runtimes hold padding against the kernel without its dilation.
  if (*std::max_element(padding.begin(), padding.end()) >= *std::min_element(p.kernel.begin(), p.kernel.end())) {
    const OnnxName least = to.scalar(-std::numeric_limits<double>::infinity(), to.output_dtype());
    x = to.emit("Pad", {x, spatial_pads(to, padding), least});
    std::fill(padding.begin(), padding.end(), 0);
  }
  to.finish("MaxPool", {x},
            {{"kernel_shape", p.kernel}, {"strides", p.strides}, {"pads", padding}, {"dilations", p.dilation}});
}

void avg_pool(Lowering& to) {
  if (to.has(6)) to.refuse("a divisor of its own has no ONNX form here");
  Pooling p = pooling(to, false);
  OnnxName x = to.arg(0);
  const bool reaches_beyond = std::any_of(p.beyond.begin(), p.beyond.end(), [](auto size) { return size > 0; });
  bool counts_padding = to.flag(5);
  if (counts_padding && reaches_beyond) {  // what lies beyond does not count
    x = to.emit("Pad", {x, spatial_pads(to, both_sides(p.padding))});
    std::fill(p.padding.begin(), p.padding.end(), 0);
    counts_padding = false;
  }
  to.finish("AveragePool", {x},
            {{"kernel_shape", p.kernel},
             {"strides", p.strides},
             {"pads", pads(p)},
             {"count_include_pad", std::int64_t{counts_padding}}});
}

/// To one value a channel, or to sizes that divide the input's.
void adaptive_avg_pool(Lowering& to) {
  const Shape& from = to.value(to.id(0)).shape;
  const Shape& shape = to.value(to.output_id()).shape;
  std::vector<std::int64_t> kernel;
  bool to_one = true;
  for (std::size_t i = from.size() - spatial_dims(to); i < from.size(); ++i) {  // the dimensions behind channels
    const std::int64_t size = to.size(shape[i]);
    to_one = to_one && size == 1;
    if (to.size(from[i]) % size != 0)
      to.refuse(message("sizes from ", to.size(from[i]), " to ", size, " do not divide: use a fixed pooling"));
    kernel.push_back(to.size(from[i]) / size);
  }
  if (to_one) return to.finish("GlobalAveragePool", {to.arg(0)});
  to.finish("AveragePool", {to.arg(0)}, {{"kernel_shape", kernel}, {"strides", kernel}});
}

/// The factors that were asked for, of which LibTorch makes coordinates; none where a size was.
std::vector<double> asked_scales(const Lowering& to, std::size_t first) {
  if (to.has(first))
    if (const auto* list = std::get_if<std::vector<double>>(&to.node().arguments[first])) return *list;
  std::vector<double> scales;
  for (std::size_t i = 0; i < spatial_dims(to); ++i)
    if (to.has(first + i)) scales.push_back(to.number(first + i));
  return scales;
}

/// `factors` is the argument that holds the factors, or the first of them.
void resize(Lowering& to, const std::string& mode, const std::string& coordinates, std::size_t factors) {
  const Shape& shape = to.value(to.output_id()).shape;
  const Shape& from = to.value(to.id(0)).shape;
  const auto asked = asked_scales(to, factors);
  std::vector<float> scales{1, 1};
  for (std::size_t i = 0; i < spatial_dims(to); ++i) {
    const auto before = static_cast<double>(to.size(from[i + 2]));
    const auto after = static_cast<double>(to.size(shape[i + 2]));
    auto scale = static_cast<float>(asked.size() == spatial_dims(to) ? asked[i] : after / before);
    // The size is the product rounded down.
    while (std::floor(before * scale) < after) scale = std::nextafter(scale, std::numeric_limits<float>::infinity());
    scales.push_back(scale);
  }
  to.finish("Resize", {to.arg(0), "", to.constant(at::tensor(scales))},
            {{"mode", mode}, {"coordinate_transformation_mode", coordinates}, {"nearest_mode", std::string("floor")}});
}

void upsample_nearest(Lowering& to) { resize(to, "nearest", "asymmetric", 2); }
void upsample_linear(Lowering& to) { resize(to, "linear", to.flag(2) ? "align_corners" : "half_pixel", 3); }

}  // namespace

void add_pooling(LoweringTable& table) {
  table.insert({{"aten::max_pool1d", max_pool},
                {"aten::max_pool2d", max_pool},
                {"aten::max_pool3d", max_pool},
                {"aten::avg_pool1d", avg_pool},
                {"aten::avg_pool2d", avg_pool},
                {"aten::avg_pool3d", avg_pool},
                {"aten::adaptive_avg_pool1d", adaptive_avg_pool},
                {"aten::adaptive_avg_pool2d", adaptive_avg_pool},
                {"aten::adaptive_avg_pool3d", adaptive_avg_pool},
                {"aten::upsample_nearest1d", upsample_nearest},
                {"aten::upsample_nearest2d", upsample_nearest},
                {"aten::upsample_linear1d", upsample_linear},
                {"aten::upsample_bilinear2d", upsample_linear}});
}

}  // namespace halftone::internal
