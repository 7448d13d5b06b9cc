#include "halftone/engine/measure.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string_view>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kWarmUpShare = 0.1;  ///< of the time there is

/// What a network's time changes by when it is compiled anew, which no number of turns shows. Of 68 pairs of one
/// ResNet-20 compiled twice, on a busy machine, 24 were told apart in turns of a fixed order, 6 in turns of an order
/// drawn anew, 1 with this.
constexpr double kCompiledAnew = 0.01;

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

/// The turns of all candidates. Borrows what it is given.
class Turns {
 public:
  Turns(std::span<const Pass> candidates, const MeasureOptions& options, const Monitor& monitor)
      : options_(options), monitor_(monitor) {
    for (const Pass& pass : candidates) {
      order_.push_back(runners_.size());
      runners_.push_back({pass});
    }
  }

  void warm_up() const {
    for (int i = 0; i < options_.warmup; ++i)
      for (const Runner& runner : runners_) {
        if (seconds() >= kWarmUpShare * options_.max_seconds || monitor_.stopped()) return;
        runner.pass();
        report("warm-up");
      }
  }

  /// One more turn of each, in an order drawn anew: what ran just before has a say in how fast a network is. False
  /// where it was stopped, or time was up before all had theirs; the first are taken in any case.
  bool take() {
    std::shuffle(order_.begin(), order_.end(), generator_);
    for (const std::size_t i : order_) {
      if ((rounds_ > 0 && seconds() >= options_.max_seconds) || monitor_.stopped()) return false;
      runners_[i].take_turn(options_.block_seconds);
      report("");
    }
    ++rounds_;
    for (Runner& runner : runners_) runner.summarize();
    return true;
  }

  [[nodiscard]] bool are_precise() const {
    return std::cmp_greater_equal(rounds_, options_.min_rounds) &&
           std::all_of(runners_.begin(), runners_.end(),
                       [&](const Runner& runner) { return runner.timing.relative_error() <= options_.relative_error; });
  }

  /// Of as many turns each; none where not all had one.
  [[nodiscard]] std::vector<Timing> timings() const {
    std::vector<Timing> timings;
    for (const Runner& runner : runners_)
      if (rounds_ > 0) timings.emplace_back(runner.timing).samples.resize(rounds_);
    return timings;
  }

  [[nodiscard]] double seconds() const { return seconds_since(start_); }

 private:
  void report(std::string_view detail) const {
    const auto milliseconds = [](double seconds) { return static_cast<std::int64_t>(seconds * 1e3); };
    const std::int64_t total = milliseconds(options_.max_seconds);
    monitor_.report({"measure", std::min(milliseconds(seconds()), total), total, detail});
  }

  const MeasureOptions& options_;
  const Monitor& monitor_;
  std::vector<Runner> runners_;
  std::vector<std::size_t> order_;
  std::mt19937 generator_;
  std::size_t rounds_ = 0;
  const Clock::time_point start_ = Clock::now();
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
  Turns turns(candidates, options, monitor);
  turns.warm_up();
  while (!candidates.empty() && !result.precise && turns.take()) result.precise = turns.are_precise();
  result.timings = turns.timings();
  result.seconds = turns.seconds();
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
  return {median, low * (1 - kCompiledAnew), high * (1 + kCompiledAnew)};
}

}  // namespace halftone
