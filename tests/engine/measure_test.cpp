#include "halftone/engine/measure.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "failure.hpp"

using namespace halftone;
using internal::median_interval;

namespace {

std::vector<double> first_numbers(std::size_t count) {
  std::vector<double> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

/// P(Binomial(n, 1/2) <= k), by adding it up.
double at_most(int n, int k) {
  double sum = 0;
  double ways = 1;  // n choose i
  for (int i = 0; i <= k; ++i) {
    sum += ways;
    ways = ways * (n - i) / (i + 1);
  }
  return sum * std::pow(0.5, n);
}

Timing timing_of(std::vector<double> samples) {
  Timing timing;
  timing.samples = std::move(samples);
  return timing;
}

/// Precise at once: every median counts as known.
MeasureOptions quick() {
  return {.relative_error = 1e9, .max_seconds = 60, .block_seconds = 1e-9, .warmup = 2, .min_rounds = 9};
}

}  // namespace

TEST_CASE("the interval of a median is the narrowest pair of order statistics that covers it with 95 %") {
  for (int n = 6; n <= 60; ++n) {
    CAPTURE(n);
    const auto [median, low, high] = median_interval(first_numbers(static_cast<std::size_t>(n)));
    CHECK(median == Approx((n + 1) / 2.0));
    CHECK(low + high == n + 1);  // as far from either end
    const int k = static_cast<int>(low);
    // The k-th smallest and k-th largest miss the median where fewer than k numbers lie on one side of it.
    CHECK(1 - 2 * at_most(n, k - 1) >= 0.95);
    CHECK(1 - 2 * at_most(n, k) < 0.95);
  }
}

TEST_CASE("intervals of medians are those of the tables") {
  // Source: Conover, Practical Nonparametric Statistics, 1999, confidence intervals for quantiles.
  const auto ranks = [](std::size_t n) {
    const auto interval = median_interval(first_numbers(n));
    return std::pair{interval.low, interval.high};
  };
  CHECK(ranks(6) == std::pair{1.0, 6.0});
  CHECK(ranks(9) == std::pair{2.0, 8.0});
  CHECK(ranks(10) == std::pair{2.0, 9.0});
  CHECK(ranks(20) == std::pair{6.0, 15.0});
  CHECK(ranks(100) == std::pair{40.0, 61.0});
}

TEST_CASE("fewer than six numbers leave the median open, and none are refused") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (std::size_t n = 1; n < 6; ++n) {
    const auto [median, low, high] = median_interval(first_numbers(n));
    CHECK(median == static_cast<double>(n + 1) / 2);
    CHECK(low == -kInfinity);
    CHECK(high == kInfinity);
  }
  CHECK(median_interval({5, 1, 3, 9}).median == 4);
  CHECK(failure([] { (void)median_interval({}); }).code == Errc::InvalidArgument);
}

TEST_CASE("intervals of thousands of numbers stay near the median") {
  const auto [median, low, high] = median_interval(first_numbers(10'000));
  CHECK(low == Approx(5000 - 0.98 * 100).margin(2));
  CHECK(high == Approx(5000 + 0.98 * 100).margin(2));
  CHECK(median == 5000.5);
}

TEST_CASE("candidates take turns in a changing order, after a warm-up") {
  std::string order;
  const std::vector<Pass> candidates{[&] { order += 'a'; }, [&] { order += 'b'; }, [&] { order += 'c'; }};
  MeasureOptions options = quick();
  options.min_rounds = 6;
  const Measurement measured = measure(candidates, options);
  CHECK(order.starts_with("abcabc"));
  std::set<std::string> orders;
  for (std::size_t round = 0; round < 6; ++round) {
    std::string turns = order.substr(6 + 3 * round, 3);
    orders.insert(turns);
    std::sort(turns.begin(), turns.end());
    CHECK(turns == "abc");
  }
  CHECK(orders.size() > 1);
  REQUIRE(measured.timings.size() == 3);
  CHECK(measured.precise);
  for (const Timing& timing : measured.timings) {
    CHECK(timing.samples.size() == 6);
    CHECK(timing.passes == 6);
    CHECK(timing.minimum <= timing.low);
    CHECK(timing.low <= timing.median);
    CHECK(timing.median <= timing.high);
    CHECK(timing.minimum == *std::min_element(timing.samples.begin(), timing.samples.end()));
  }
}

TEST_CASE("measuring ends when the medians are known, the time is up, or it is asked to") {
  int passes = 0;
  const std::vector<Pass> candidates{[&] { ++passes; }};
  CHECK(measure(candidates, quick()).timings[0].samples.size() == 9);

  MeasureOptions endless = quick();
  endless.relative_error = 1e-12;
  endless.max_seconds = 1e-9;
  const Measurement late = measure(candidates, endless);
  CHECK_FALSE(late.precise);
  CHECK(late.timings[0].samples.size() == 1);
  CHECK(late.timings[0].median > 0);
  CHECK(std::isinf(late.timings[0].relative_error()));

  endless.max_seconds = 600;
  endless.min_rounds = 1 << 30;
  int reports = 0;
  Monitor monitor;
  monitor.on_progress = [&](const Progress& progress) {
    CHECK(progress.stage == "measure");
    CHECK(progress.detail == (reports < 2 ? "warm-up" : ""));
    CHECK(progress.total == 600'000);
    CHECK(progress.done <= progress.total);
    ++reports;
  };
  monitor.should_stop = [&] { return reports == 2 + 5; };
  const Measurement stopped = measure(candidates, endless, monitor);
  CHECK_FALSE(stopped.precise);
  CHECK(stopped.timings[0].samples.size() == 5);
  CHECK(passes == 2 + 9 + 0 + 1 + 2 + 5);  // no warm-up where there is no time
}

TEST_CASE("measuring can be stopped between any two turns, and all candidates then have as many samples") {
  std::string order;
  const std::vector<Pass> candidates{[&] { order += 'a'; }, [&] { order += 'b'; }, [&] { order += 'c'; }};
  for (std::size_t passes = 0; passes < 20; ++passes) {
    CAPTURE(passes);
    order.clear();
    const Monitor monitor{.on_progress = {}, .should_stop = [&] { return order.size() == passes; }};
    const Measurement measured = measure(candidates, quick(), monitor);
    CHECK(order.size() == passes);
    const std::size_t rounds = passes < 6 ? 0 : (passes - 6) / 3;  // after the warm-up
    REQUIRE(measured.timings.size() == (rounds == 0 ? 0U : 3U));
    for (const Timing& timing : measured.timings) CHECK(timing.samples.size() == rounds);
  }
}

TEST_CASE("no median is known before it has an interval") {
  MeasureOptions options = quick();
  options.min_rounds = 1;
  const std::vector<Pass> candidates{[] {}};
  const Measurement measured = measure(candidates, options);
  CHECK(measured.precise);
  CHECK(measured.timings[0].samples.size() == 6);
}

TEST_CASE("a turn is as many passes as its time holds, and its median is the sample") {
  int passes = 0;
  const std::vector<Pass> candidates{[&] { ++passes; }};
  MeasureOptions options = quick();
  options.warmup = 0;
  options.block_seconds = 0.001;
  const Timing timing = measure(candidates, options).timings[0];
  CHECK(timing.passes == passes);
  CHECK(timing.passes > 9);
  CHECK(timing.samples.size() == 9);
  CHECK(timing.minimum <= timing.samples[0]);
}

TEST_CASE("nothing to measure gives no timings") { CHECK(measure({}, quick()).timings.empty()); }

TEST_CASE("equal timings do not differ, a clear ratio does, and what the machine does to both cancels") {
  std::vector<double> noisy;
  std::vector<double> twice;
  std::vector<double> around;
  for (int i = 0; i < 21; ++i) {
    const double load = 1 + i % 5;  // up to five times as slow in some turns
    noisy.push_back(load);
    twice.push_back(2 * load * (1 + 0.001 * (i % 3)));
    around.push_back(load * (1 + 0.01 * (i % 2 == 0 ? 1 : -1)));
  }
  const Timing reference = timing_of(noisy);
  const Ratio same = compare(reference, reference);
  CHECK(same.value == 1);
  CHECK_FALSE(same.differs());
  CHECK_FALSE(compare(timing_of(around), reference).differs());
  const Ratio slower = compare(timing_of(twice), reference);
  CHECK(slower.differs());
  CHECK(slower.value == Approx(2.002));
  CHECK(slower.low >= 2 * 0.99);
  CHECK(slower.high <= 2.004 * 1.01);
  CHECK(compare(reference, timing_of(twice)).differs());
}

TEST_CASE("a difference that compiling anew makes by itself is none, however often it is seen") {
  const Timing reference = timing_of(std::vector<double>(100, 1.0));
  CHECK_FALSE(compare(timing_of(std::vector<double>(100, 1.009)), reference).differs());
  CHECK_FALSE(compare(timing_of(std::vector<double>(100, 0.992)), reference).differs());
  const Ratio ratio = compare(timing_of(std::vector<double>(100, 1.02)), reference);
  CHECK(ratio.differs());
  CHECK(ratio.low == Approx(1.02 * 0.99));
  CHECK(ratio.high == Approx(1.02 * 1.01));
}

TEST_CASE("too few turns tell no difference, however clear it looks") {
  const Ratio few = compare(timing_of({2, 2, 2, 2, 2}), timing_of({1, 1, 1, 1, 1}));
  CHECK(few.value == 2);
  CHECK_FALSE(few.differs());
  CHECK_FALSE(few.is_known());
  const Ratio enough = compare(timing_of({2, 2, 2, 2, 2, 2}), timing_of({1, 1, 1, 1, 1, 1}));
  CHECK(enough.differs());
  CHECK(enough.is_known());
}

TEST_CASE("a ratio of timings that were not measured together is refused") {
  const auto refused = failure([] { (void)compare(timing_of({1, 2}), timing_of({1})); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Catch::Contains("measured together, these have 2 and 1 samples"));
  CHECK(failure([] { (void)compare({}, {}); }).code == Errc::InvalidArgument);
}

TEST_CASE("wrong measure options are all named") {
  CHECK(validate(MeasureOptions{}).empty());
  const MeasureOptions wrong{
      .relative_error = 0, .max_seconds = -1, .block_seconds = std::nan(""), .warmup = -1, .min_rounds = 0};
  CHECK(validate(wrong) ==
        std::vector<std::string>{"relative_error is 0: a positive number of at most 1e+09 is needed",
                                 "max_seconds is -1: a positive number of at most 1e+09 is needed",
                                 "block_seconds is nan: a positive number of at most 1e+09 is needed",
                                 "warmup is -1: at least 0 is needed", "min_rounds is 0: at least 1 is needed"});
  for (const double seconds : {std::numeric_limits<double>::infinity(), 1e300})
    CHECK(validate(MeasureOptions{.max_seconds = seconds, .block_seconds = seconds}).size() == 2);
  const auto refused = failure([&] { (void)measure({}, wrong); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Catch::Contains("warmup is -1"));
}
