#pragma once

#include <cstdint>
#include <vector>

#include "halftone/calibrate/calibration.hpp"

namespace halftone {

/// Counts of a tensor's values in equal bins over (-limit, limit), with the exact minimum and maximum. Exact zeros are
/// counted apart: they quantize without error. A value on the edge of two bins belongs to the one farther from zero.
struct Histogram {
  static constexpr int kBins = 8192;  ///< half of them for each sign

  double limit = 0;  ///< a power of two, so that histograms grown apart can be merged; 0 while empty
  double min = 0;
  double max = 0;
  std::int64_t zeros = 0;
  std::int64_t total = 0;  ///< zeros included
  std::vector<std::int64_t> counts = std::vector<std::int64_t>(kBins);

  /// Doubles `limit` until it exceeds `magnitude`, merging neighbouring bins.
  void grow_to(double magnitude);
  [[nodiscard]] double bin_center(int bin) const { return (bin + 0.5 - kBins / 2.0) * 2 * limit / kBins; }
};

struct RangeOptions {
  RangeMethod method = RangeMethod::MeanSquaredError;
  double percentile = 99.99;  ///< share of values inside the range, in percent, for `Percentile`
  int candidates = 100;       ///< tried clip limits per side, for `MeanSquaredError`
};

std::vector<std::string> validate(const RangeOptions& options);

/// The range of an activation at `bits` by the chosen method, with its mean squared error over the histogram. Mean
/// squared error: the best of `candidates` equal fractions of the extremes; where values are negative too, both ends
/// shrink together first, then each alone until nothing improves. Cost: candidates x bins.
InputRange choose_range(const Histogram& histogram, int bits, const RangeOptions& options);

/// Root of the mean square of the values counted, each taken at its bin's centre.
double root_mean_square(const Histogram& histogram);

/// Mean squared error that a quantizer would make on the values counted, each taken at its bin's centre.
double mean_squared_error(const Histogram& histogram, const QuantParams& params);

}  // namespace halftone
