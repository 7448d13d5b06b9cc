#include "halftone/calibrate/histogram.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/core/precision.hpp"

namespace halftone {
namespace {

constexpr std::size_t kLanes = 8;
constexpr int kMostCandidates = 10000;

/// The occupied bins: what a value became (its bin's centre) and how often. Padded to whole lanes with weight 0.
struct Occupied {
  std::vector<float> values;
  std::vector<double> weights;
};

Occupied occupied_bins(const Histogram& histogram) {
  Occupied bins;
  for (int bin = 0; bin < Histogram::kBins; ++bin) {
    const std::int64_t count = histogram.counts[static_cast<std::size_t>(bin)];
    if (count == 0) continue;
    const double value = std::clamp(histogram.bin_center(bin), histogram.min, histogram.max);
    bins.values.push_back(static_cast<float>(value));
    bins.weights.push_back(static_cast<double>(count));
  }
  const std::size_t padded = (bins.values.size() + kLanes - 1) / kLanes * kLanes;
  bins.values.resize(padded);
  bins.weights.resize(padded);
  return bins;
}

/// Sum of weighted squared errors; stops early with some larger sum once it exceeds `enough`. The same values as the
/// scalar `fake_quantize`: clipping before rounding changes nothing as the limits are integers, and adding 1.5 * 2^23
/// rounds floats of at most 2^22 half to even, which vectorises where `nearbyint` does not.
double squared_error(const Occupied& bins, const QuantParams& params,
                     double enough = std::numeric_limits<double>::infinity()) {
  constexpr float kRound = 12582912.0F;
  constexpr std::size_t kChunk = 512;
  const float scale = params.scale;
  const auto least = static_cast<float>(params.qmin - params.zero_point);
  const auto most = static_cast<float>(params.qmax - params.zero_point);
  std::array<double, kLanes> sums{};
  double total = 0;
  for (std::size_t start = 0; start < bins.values.size() && total <= enough; start += kChunk) {
    const std::size_t end = std::min(start + kChunk, bins.values.size());
    for (std::size_t i = start; i < end; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const float value = bins.values[i + lane];
        float q = value / scale;
        q = q > least ? q : least;
        q = q < most ? q : most;
        q = (q + kRound) - kRound;
        const auto error = static_cast<double>(q * scale - value);
        sums[lane] += bins.weights[i + lane] * (error * error);
      }
    }
    total = 0;
    for (const double sum : sums) total += sum;
  }
  return total;
}

double per_value(double sum, const Histogram& histogram) {
  return histogram.total > 0 ? sum / static_cast<double>(histogram.total) : 0;
}

InputRange max_range(const Histogram& histogram) {
  return {.low = std::min(histogram.min, 0.0), .high = std::max(histogram.max, 0.0)};
}

/// The end of the range on one side (-1 or 1) that leaves at most `outside` values beyond it: a bin's outer edge. 0
/// where so few values lie on that side.
double percentile_end(const Histogram& histogram, int side, std::int64_t outside) {
  constexpr int kHalf = Histogram::kBins / 2;
  for (int distance = kHalf - 1; distance >= 0; --distance) {
    const int bin = side > 0 ? kHalf + distance : kHalf - 1 - distance;
    outside -= histogram.counts[static_cast<std::size_t>(bin)];
    if (outside < 0) return side * (distance + 1) * histogram.limit / kHalf;
  }
  return 0;
}

InputRange percentile_range(const Histogram& histogram, double percentile) {
  const InputRange whole = max_range(histogram);
  // Rounding must not turn 1 value in 10,000 into 0.99999 of one.
  const double outside = static_cast<double>(histogram.total) * (100 - percentile) / 100 + 1e-6;
  const bool both_sides = whole.low < 0 && whole.high > 0;
  const auto outside_each = static_cast<std::int64_t>(both_sides ? outside / 2 : outside);
  const InputRange range{.low = std::max(percentile_end(histogram, -1, outside_each), whole.low),
                         .high = std::min(percentile_end(histogram, 1, outside_each), whole.high)};
  // Nearly all zeros: nothing would be left of the rest.
  return range.low == 0 && range.high == 0 ? whole : range;
}

/// Searches the grid of equal fractions of both extremes for the least squared error. Of equals the widest stays.
class RangeSearch {
 public:
  RangeSearch(const Histogram& histogram, int bits, int candidates)
      : bins_(occupied_bins(histogram)),
        whole_(max_range(histogram)),
        bits_(bits),
        candidates_(candidates),
        low_(candidates),
        high_(candidates) {}

  InputRange run() {
    for (int k = candidates_; k > 0; --k) consider(k, k);
    // Where one end is 0 anyway, the other has just been searched alone.
    if (whole_.low < 0 && whole_.high > 0) {
      descend_high();
      while (descend_low() && descend_high()) continue;
    }
    return {.low = whole_.low * fraction(low_), .high = whole_.high * fraction(high_)};
  }

  [[nodiscard]] double least() const { return least_; }

 private:
  bool descend_high() {
    bool improved = false;
    for (int k = candidates_, low = low_; k > 0; --k) improved |= consider(low, k);
    return improved;
  }

  bool descend_low() {
    bool improved = false;
    for (int k = candidates_, high = high_; k > 0; --k) improved |= consider(k, high);
    return improved;
  }

  bool consider(int low, int high) {
    const double error = error_of(low, high);
    if (!(error < least_)) return false;
    least_ = error;
    low_ = low;
    high_ = high;
    return true;
  }

  [[nodiscard]] double fraction(int k) const { return static_cast<double>(k) / candidates_; }

  [[nodiscard]] double error_of(int low, int high) const {
    return squared_error(bins_, activation_params(whole_.low * fraction(low), whole_.high * fraction(high), bits_),
                         least_);
  }

  Occupied bins_;
  InputRange whole_;
  int bits_;
  int candidates_;
  int low_;
  int high_;
  double least_ = std::numeric_limits<double>::infinity();
};

}  // namespace

void Histogram::grow_to(double magnitude) {
  if (!std::isfinite(2 * magnitude) || magnitude < 0)
    throw Error(Errc::NonFinite, message("histogram: cannot hold a value of magnitude ", magnitude));
  if (magnitude == 0) return;
  if (limit == 0) {
    int exponent = 0;
    std::frexp(magnitude, &exponent);
    limit = std::ldexp(1.0, exponent);
  }
  for (; limit <= magnitude; limit *= 2) {
    std::vector<std::int64_t> merged(kBins);
    for (std::size_t bin = 0; bin < kBins; ++bin) merged[bin / 2 + kBins / 4] += counts[bin];
    counts = std::move(merged);
  }
}

std::vector<std::string> validate(const RangeOptions& options) {
  std::vector<std::string> violations;
  if (!(options.percentile > 0 && options.percentile <= 100))
    violations.push_back(
        message("percentile is ", options.percentile, ": a share in percent, above 0 and at most 100, is needed"));
  if (options.candidates < 1 || options.candidates > kMostCandidates)
    violations.push_back(message("candidates is ", options.candidates, ": 1 to ", kMostCandidates, " are allowed"));
  return violations;
}

double root_mean_square(const Histogram& histogram) {
  double sum = 0;
  for (int bin = 0; bin < Histogram::kBins; ++bin) {
    const double center = histogram.bin_center(bin);
    sum += center * center * static_cast<double>(histogram.counts[static_cast<std::size_t>(bin)]);
  }
  return histogram.total == 0 ? 0 : std::sqrt(sum / static_cast<double>(histogram.total));
}

double mean_squared_error(const Histogram& histogram, const QuantParams& params) {
  return per_value(squared_error(occupied_bins(histogram), params), histogram);
}

InputRange choose_range(const Histogram& histogram, int bits, const RangeOptions& options) {
  require_valid("range options", validate(options));
  if (!is_valid_width(bits) || bits == 16)
    throw Error(Errc::InvalidArgument, message("a range at ", bits, " bits: integer widths are 2 to 8 bits"));
  if (options.method == RangeMethod::Automatic)
    throw Error(Errc::InvalidArgument, "the range method auto is for weights: give max, percentile or mse");
  if (options.method == RangeMethod::MeanSquaredError) {
    RangeSearch search(histogram, bits, options.candidates);
    InputRange range = search.run();
    range.mean_squared_error = per_value(search.least(), histogram);
    return range;
  }
  InputRange range =
      options.method == RangeMethod::Max ? max_range(histogram) : percentile_range(histogram, options.percentile);
  range.mean_squared_error = mean_squared_error(histogram, params(range, bits));
  return range;
}

}  // namespace halftone
