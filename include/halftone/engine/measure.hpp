#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "halftone/core/monitor.hpp"

namespace halftone {

struct MeasureOptions {
  double relative_error = 0.01;  ///< half of the 95 % interval of every median, as a share of it: measured until then
  double max_seconds = 20;       ///< and never longer than this, all candidates and their warm-up together, but for the
                                 ///< first turn of each and the pass under way
  double block_seconds = 0.005;  ///< how long a candidate runs before the next one takes its turn, at least one pass
  int warmup = 3;                ///< passes of each candidate before the first that counts, in a tenth of the time
  int min_rounds = 9;            ///< turns of each candidate; below 6 no median has an interval
};

std::vector<std::string> validate(const MeasureOptions& options);

/// How long one candidate takes. A sample is the median pass of one turn.
struct Timing {
  double minimum = 0;             ///< ms, of all passes
  double median = 0;              ///< ms, of the samples
  double low = 0;                 ///< ms, 95 % interval of the median; infinite below 6 samples
  double high = 0;                ///< ms
  double spread = 0;              ///< distance between the quartiles of the samples, as a share of the median
  std::int64_t passes = 0;        ///< that counted
  std::vector<double> samples{};  ///< ms, one a turn, in order

  /// Half of the interval as a share of the median; infinite below 6 samples.
  [[nodiscard]] double relative_error() const { return median > 0 ? (high - low) / 2 / median : 0; }
};

struct Measurement {
  std::vector<Timing> timings;  ///< by candidate
  double seconds = 0;           ///< after the warm-up
  double load_before = 0;       ///< of the machine: processes that wanted to run, over the last minute
  double load_after = 0;
  bool precise = false;  ///< whether every candidate reached `relative_error`
};

/// One pass of a candidate.
using Pass = std::function<void()>;

/// Times candidates side by side: each in turn for a short while, in an order drawn anew every time, until all medians
/// are known well enough or the time is up. What disturbs the machine then disturbs all of them alike. Stops on request
/// after the turn under way, with what was measured: no timings before each candidate had its first turn.
Measurement measure(std::span<const Pass> candidates, const MeasureOptions& options = {}, const Monitor& monitor = {});

/// Time of `candidate` as a multiple of that of `reference`: the median of the turns that lie side by side.
struct Ratio {
  double value = 1;
  double low = 1;  ///< 95 % interval of the median, and 1 % for compiling anew; infinite below 6 turns
  double high = 1;

  /// Whether there were turns enough for an interval.
  [[nodiscard]] bool is_known() const { return low >= 0; }
  /// Whether there is a difference at all: the interval excludes 1, as printed with three decimals.
  [[nodiscard]] bool differs() const { return low > 1.0005 || high < 0.9995; }
};

/// Throws `InvalidArgument` unless both were measured together.
Ratio compare(const Timing& candidate, const Timing& reference);

namespace internal {

struct MedianInterval {
  double median = 0;
  double low = 0;
  double high = 0;
};

/// Median of `numbers` with its 95 % interval by order statistics: exact for any distribution. All real numbers where
/// there are fewer than 6: even their extremes miss the median more often.
MedianInterval median_interval(std::vector<double> numbers);

}  // namespace internal
}  // namespace halftone
