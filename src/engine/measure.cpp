#include "halftone/engine/measure.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double load_average() {
  std::array<double, 1> load{};
  return ::getloadavg(load.data(), 1) == 1 ? load[0] : 0;
}

/// The value below which `share` of the sorted numbers lie, interpolated.
double quantile(const std::vector<double>& sorted, double share) {
  const double position = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double fraction = position - static_cast<double>(below);
  return sorted[below] * (1 - fraction) + sorted[above] * fraction;
}

/// One candidate while it is measured.
struct Runner {
  const Pass& pass;
  Timing timing{};
  std::vector<double> turn{};  ///< ms, passes of this turn

  void warm_up(int passes) const {
    for (int i = 0; i < passes; ++i) pass();
  }

  void take_turn(double block_seconds) {
    turn.clear();
    const auto start = Clock::now();
    do {
      const auto begin = Clock::now();
      pass();
      turn.push_back(1e3 * seconds_since(begin));
    } while (seconds_since(start) < block_seconds);
    std::sort(turn.begin(), turn.end());
    timing.minimum = timing.samples.empty() ? turn.front() : std::min(timing.minimum, turn.front());
    timing.passes += std::ssize(turn);
    timing.samples.push_back(quantile(turn, 0.5));
  }

  void summarize() {
    const auto interval = internal::median_interval(timing.samples);
    timing.median = interval.median;
    timing.low = interval.low;
    timing.high = interval.high;
    std::vector<double> sorted = timing.samples;
    std::sort(sorted.begin(), sorted.end());
    timing.spread = (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / timing.median;
  }
};

}  // namespace

namespace internal {

MedianInterval median_interval(std::vector<double> numbers) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (numbers.empty()) throw Error(Errc::InvalidArgument, "the median of no numbers was asked for");
  std::sort(numbers.begin(), numbers.end());
  // The k-th smallest and k-th largest enclose the true median but for twice the chance of fewer than k below it:
  // the largest k with P(Binomial(n, 1/2) < k) <= 2.5 %.
  const auto n = numbers.size();
  double log_term = -static_cast<double>(n) * std::log(2.0);
  double below = 0;
  std::size_t k = 0;
  while (k < n / 2) {
    below += std::exp(log_term);
    if (below > 0.025) break;
    log_term += std::log(static_cast<double>(n - k)) - std::log(static_cast<double>(k + 1));
    ++k;
  }
  if (k == 0) return {quantile(numbers, 0.5), -kInfinity, kInfinity};
  return {quantile(numbers, 0.5), numbers[k - 1], numbers[n - k]};
}

}  // namespace internal

std::vector<std::string> validate(const MeasureOptions& options) {
  std::vector<std::string> violations;
  const auto positive = [&](const char* field, double value) {
    constexpr double kMost = 1e9;
    if (!(value > 0 && value <= kMost))
      violations.push_back(message(field, " is ", value, ": a positive number of at most ", kMost, " is needed"));
  };
  positive("relative_error", options.relative_error);
  positive("max_seconds", options.max_seconds);
  positive("block_seconds", options.block_seconds);
  if (options.warmup < 0) violations.push_back(message("warmup is ", options.warmup, ": at least 0 is needed"));
  if (options.min_rounds < 1)
    violations.push_back(message("min_rounds is ", options.min_rounds, ": at least 1 is needed"));
  return violations;
}

Measurement measure(std::span<const Pass> candidates, const MeasureOptions& options, const Monitor& monitor) {
  require_valid("measure options", validate(options));
  Measurement result;
  result.load_before = load_average();
  std::vector<Runner> runners;
  for (const Pass& pass : candidates) runners.push_back({pass});
  for (const Runner& runner : runners) runner.warm_up(options.warmup);
  const auto start = Clock::now();
  const auto total = static_cast<std::int64_t>(options.max_seconds * 1e3);
  for (std::size_t round = 0; !runners.empty(); ++round) {
    for (std::size_t i = 0; i < runners.size(); ++i)
      runners[(round + i) % runners.size()].take_turn(options.block_seconds);
    for (Runner& runner : runners) runner.summarize();
    const auto precise = [&](const Runner& runner) { return runner.timing.relative_error() <= options.relative_error; };
    result.precise =
        static_cast<int>(round) + 1 >= options.min_rounds && std::all_of(runners.begin(), runners.end(), precise);
    result.seconds = seconds_since(start);
    monitor.report({"measure", std::min(static_cast<std::int64_t>(result.seconds * 1e3), total), total});
    if (result.precise || result.seconds >= options.max_seconds || monitor.stopped()) break;
  }
  for (Runner& runner : runners) result.timings.push_back(std::move(runner.timing));
  result.load_after = load_average();
  return result;
}

Ratio compare(const Timing& candidate, const Timing& reference) {
  if (candidate.samples.size() != reference.samples.size() || candidate.samples.empty())
    throw Error(Errc::InvalidArgument,
                message("a ratio needs timings measured together, these have ", candidate.samples.size(), " and ",
                        reference.samples.size(), " samples"));
  std::vector<double> ratios;
  for (std::size_t i = 0; i < candidate.samples.size(); ++i)
    ratios.push_back(candidate.samples[i] / reference.samples[i]);
  const auto [median, low, high] = internal::median_interval(std::move(ratios));
  return {median, low, high};
}

}  // namespace halftone
