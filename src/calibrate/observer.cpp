#include "calibrate/observer.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "halftone/core/error.hpp"

namespace halftone::internal {

namespace {

/// Bins no narrower than this keep value / width a normal float.
constexpr double kSmallestMagnitude = 0x1p-100;

/// Bin of x: 4096 + trunc(x / width), one less for negative x. The width is a power of two, so that this is exact and
/// halving the resolution later gives what counting at half the resolution would have given. No branch on zero, which
/// half of all values after a ReLU are.
std::int64_t add_to_bins(std::vector<std::int64_t>& counts, const float* x, std::int64_t size, float bins_per_unit) {
  std::int64_t* const zero_bin = counts.data() + Histogram::kBins / 2;
  std::int64_t zeros = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const float value = x[i];
    zeros += value == 0;
    ++zero_bin[static_cast<int>(value * bins_per_unit) - (value < 0)];
  }
  *zero_bin -= zeros;
  return zeros;
}

void include(Histogram& histogram, double min, double max, std::int64_t values) {
  const bool empty = histogram.total == 0;
  histogram.min = empty ? min : std::min(histogram.min, min);
  histogram.max = empty ? max : std::max(histogram.max, max);
  histogram.total += values;
}

/// Adds CPU float values that lie in [min, max].
void count_values(Histogram& histogram, const at::Tensor& values, double min, double max) {
  include(histogram, min, max, values.numel());
  if (min == 0 && max == 0) {
    histogram.zeros += values.numel();
    return;
  }
  histogram.grow_to(std::max({-min, max, kSmallestMagnitude}));
  histogram.zeros += add_to_bins(histogram.counts, values.const_data_ptr<float>(), values.numel(),
                                 static_cast<float>(Histogram::kBins / 2 / histogram.limit));
}

}  // namespace

InputSlots::InputSlots(const Model& model) {
  std::map<ValueId, std::size_t> slot_of;
  for (std::size_t site = 0; site < model.sites.size(); ++site) {
    const auto [entry, is_new] = slot_of.try_emplace(model.sites[site].input, first_site.size());
    if (is_new) first_site.push_back(site);
    of_site.push_back(entry->second);
  }
}

void merge(Histogram& histogram, Histogram& other) {
  if (other.total == 0) return;
  include(histogram, other.min, other.max, other.total);
  histogram.zeros += other.zeros;
  // A limit is the next power of two above the largest magnitude, so both reach the same one.
  const double limit = std::max(histogram.limit, other.limit);
  if (limit == 0) return;
  histogram.grow_to(limit / 2);
  other.grow_to(limit / 2);
  for (std::size_t bin = 0; bin < histogram.counts.size(); ++bin) histogram.counts[bin] += other.counts[bin];
}

Observer::Observer(const Model& model, const InputSlots& slots)
    : model_(model), slots_(slots), histograms_(slots.first_site.size()) {}

at::Tensor Observer::input(std::size_t index, const at::Tensor& activation) {
  const std::size_t slot = slots_.of_site[index];
  if (slots_.first_site[slot] != index || activation.numel() == 0) return activation;
  const at::Tensor values = activation.detach().to(at::kCPU, at::kFloat).contiguous();
  const auto [least, most] = at::aminmax(values);
  const double min = least.item<float>();
  const double max = most.item<float>();
  if (!std::isfinite(min) || !std::isfinite(max))
    throw Error(Errc::NonFinite,
                message("calibrate: the input of site \"", model_.sites[index].name, "\" is ",
                        std::isnan(min) || std::isnan(max) ? "NaN" : "infinite", " for ", context_,
                        ": check these samples, then the weights and normalization of what comes before the site"));
  count_values(histograms_[slot], values, min, max);
  return activation;
}

}  // namespace halftone::internal
