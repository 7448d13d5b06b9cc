#include "halftone/calibrate/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

Histogram histogram_of(const std::vector<float>& values) {
  Histogram h;
  for (const float value : values) h.grow_to(std::abs(value));
  for (const float value : values) {
    h.min = h.total == 0 ? value : std::min<double>(h.min, value);
    h.max = h.total == 0 ? value : std::max<double>(h.max, value);
    ++h.total;
    if (value == 0)
      ++h.zeros;
    else
      ++h.counts[static_cast<std::size_t>(std::floor(value / h.limit * Histogram::kBins / 2) + Histogram::kBins / 2)];
  }
  return h;
}

/// The error on the values themselves, through the scalar quantizer.
double error_on_values(const std::vector<float>& values, const QuantParams& params) {
  double sum = 0;
  for (const float value : values) sum += std::pow(static_cast<double>(fake_quantize(value, params)) - value, 2);
  return sum / static_cast<double>(values.size());
}

enum class Shape { Gaussian, Rectified, Skewed, Negative };

std::vector<float> draw(Shape shape, std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) {
    const float x = normal(random);
    switch (shape) {
      case Shape::Gaussian:
        value = 3 * x;
        break;
      case Shape::Rectified:
        value = std::max(x, 0.0F);
        break;
      case Shape::Skewed:
        value = std::exp(x) - 0.3F;
        break;
      case Shape::Negative:
        value = -std::abs(x);
        break;
    }
  }
  return values;
}

constexpr Shape kShapes[] = {Shape::Gaussian, Shape::Rectified, Shape::Skewed, Shape::Negative};

}  // namespace

TEST_CASE("a histogram grows by powers of two and loses no count") {
  Histogram h = histogram_of(draw(Shape::Gaussian, 5000, 1));
  const auto counted = [&h] { return std::accumulate(h.counts.begin(), h.counts.end(), h.zeros); };
  REQUIRE(counted() == h.total);
  const double before = h.limit;
  h.grow_to(100 * before);
  CHECK(h.limit == 128 * before);
  CHECK(counted() == h.total);
}

TEST_CASE("growing keeps every value inside its bin, down to the negative ones") {
  Histogram h;
  h.grow_to(0.9);
  REQUIRE(h.limit == 1);
  h.counts.front() = 1;
  h.counts[Histogram::kBins / 2 - 1] = 2;
  h.counts[Histogram::kBins / 2] = 4;
  h.counts.back() = 8;
  h.grow_to(1);
  CHECK(h.limit == 2);
  CHECK(h.counts[Histogram::kBins / 4] == 1);
  CHECK(h.counts[Histogram::kBins / 2 - 1] == 2);
  CHECK(h.counts[Histogram::kBins / 2] == 4);
  CHECK(h.counts[3 * Histogram::kBins / 4 - 1] == 8);
}

TEST_CASE("the order in which a histogram grows changes nothing") {
  std::vector<float> values = draw(Shape::Skewed, 3000, 2);
  const auto count_in_batches = [](const std::vector<float>& all) {
    Histogram h;
    for (const float value : all) {
      h.grow_to(std::abs(value));
      ++h.counts[static_cast<std::size_t>(std::floor(value / h.limit * Histogram::kBins / 2) + Histogram::kBins / 2)];
    }
    return h;
  };
  const Histogram up = (std::sort(values.begin(), values.end()), count_in_batches(values));
  const Histogram down = (std::reverse(values.begin(), values.end()), count_in_batches(values));
  CHECK(up.limit == down.limit);
  CHECK(up.counts == down.counts);
}

TEST_CASE("a histogram of nothing but zeros stays empty when grown") {
  Histogram h;
  h.grow_to(0);
  CHECK(h.limit == 0);
}

TEST_CASE("a histogram refuses magnitudes that are not finite") {
  Histogram h;
  for (const double bad : {std::numeric_limits<double>::infinity(), std::nan(""), -1.0}) {
    const Failure f = failure([&] { h.grow_to(bad); });
    CHECK(f.code == Errc::NonFinite);
    CHECK_THAT(f.text, Contains("magnitude"));
  }
}

TEST_CASE("the error over the histogram is that over the values, to 2 percent at 8 bits and 0.2 percent at 4") {
  for (const Shape shape : kShapes) {
    CAPTURE(static_cast<int>(shape));
    const std::vector<float> values = draw(shape, 40000, 3);
    const Histogram h = histogram_of(values);
    for (const double share : {1.0, 0.5}) {
      const QuantParams eight = activation_params(share * h.min, share * h.max, 8);
      CHECK(mean_squared_error(h, eight) == Approx(error_on_values(values, eight)).epsilon(0.02));
      const QuantParams four = activation_params(share * h.min, share * h.max, 4);
      CHECK(mean_squared_error(h, four) == Approx(error_on_values(values, four)).epsilon(0.002));
    }
  }
}

TEST_CASE("the error over the histogram is that of the scalar quantizer on bin centres, to a millionth") {
  const Histogram h = histogram_of(draw(Shape::Gaussian, 20000, 4));
  std::vector<float> centres;
  for (int bin = 0; bin < Histogram::kBins; ++bin)
    centres.insert(centres.end(), static_cast<std::size_t>(h.counts[static_cast<std::size_t>(bin)]),
                   static_cast<float>(std::clamp(h.bin_center(bin), h.min, h.max)));
  centres.insert(centres.end(), static_cast<std::size_t>(h.zeros), 0.0F);
  for (const QuantParams& params :
       {activation_params(-1.7, 2.9, 8), activation_params(-8, 3, 4), activation_params(0, 5, 2), weight_params(4, 4)})
    CHECK(mean_squared_error(h, params) == Approx(error_on_values(centres, params)).epsilon(1e-6));
}

TEST_CASE("the range of least error is never worse than the range of all values, and its stated error is its own") {
  for (const Shape shape : kShapes)
    for (const int bits : {2, 4, 8}) {
      CAPTURE(static_cast<int>(shape), bits);
      const Histogram h = histogram_of(draw(shape, 20000, 5));
      const InputRange all = choose_range(h, bits, {.method = RangeMethod::Max});
      const InputRange best = choose_range(h, bits, {.method = RangeMethod::MeanSquaredError});
      CHECK(best.mean_squared_error <= all.mean_squared_error);
      CHECK(best.mean_squared_error == mean_squared_error(h, params(best, bits)));
      CHECK(all.low == std::min(h.min, 0.0));
      CHECK(all.high == std::max(h.max, 0.0));
      CHECK(best.low >= all.low);
      CHECK(best.high <= all.high);
    }
}

TEST_CASE("one-sided data gets the best of all candidates, by enumeration") {
  const Histogram h = histogram_of(draw(Shape::Rectified, 20000, 6));
  const InputRange best = choose_range(h, 4, {.candidates = 40});
  double least = std::numeric_limits<double>::infinity();
  for (int k = 1; k <= 40; ++k)
    least = std::min(least, mean_squared_error(h, activation_params(0, h.max * (k / 40.0), 4)));
  CHECK(best.mean_squared_error == least);
  CHECK(best.low == 0);
  CHECK(best.high < h.max);
}

TEST_CASE("two-sided data gets a range that neither end alone can better") {
  const Histogram h = histogram_of(draw(Shape::Skewed, 20000, 7));
  const InputRange best = choose_range(h, 4, {.candidates = 40});
  REQUIRE(best.low < 0);
  for (int k = 1; k <= 40; ++k) {
    CHECK(mean_squared_error(h, activation_params(best.low, h.max * (k / 40.0), 4)) >= best.mean_squared_error);
    CHECK(mean_squared_error(h, activation_params(h.min * (k / 40.0), best.high, 4)) >= best.mean_squared_error);
  }
  // Clipping one end harder than the other must beat clipping both alike on skewed data.
  for (int k = 1; k <= 40; ++k)
    CHECK(mean_squared_error(h, activation_params(h.min * (k / 40.0), h.max * (k / 40.0), 4)) >
          best.mean_squared_error);
}

TEST_CASE("a percentile leaves out at most the stated share, to one bin") {
  for (const Shape shape : {Shape::Gaussian, Shape::Rectified, Shape::Negative}) {
    std::vector<float> values = draw(shape, 10000, 8);
    const Histogram h = histogram_of(values);
    std::sort(values.begin(), values.end());
    const double bin = 2 * h.limit / Histogram::kBins;
    for (const double percentile : {99.9, 99.0, 90.0}) {
      CAPTURE(static_cast<int>(shape), percentile);
      const InputRange range = choose_range(h, 8, {.method = RangeMethod::Percentile, .percentile = percentile});
      const bool both = shape == Shape::Gaussian;
      const auto outside = static_cast<std::size_t>(std::lround(100 * (100 - percentile) / (both ? 2 : 1)));
      if (shape != Shape::Negative) {
        const double exact = values[values.size() - 1 - outside];
        CHECK(range.high >= exact);
        CHECK(range.high <= exact + bin);
      }
      if (shape != Shape::Rectified) {
        CHECK(range.low <= values[outside]);
        CHECK(range.low >= values[outside] - bin);
      }
      if (!both) CHECK((range.low == 0 || range.high == 0));
    }
  }
}

TEST_CASE("the hundredth percentile is the range of all values") {
  const Histogram h = histogram_of(draw(Shape::Skewed, 1000, 9));
  const InputRange range = choose_range(h, 8, {.method = RangeMethod::Percentile, .percentile = 100});
  CHECK(range.low == h.min);
  CHECK(range.high == h.max);
}

TEST_CASE("a percentile of nearly all zeros falls back to the range of all values") {
  std::vector<float> values(100000);
  values.front() = 5;
  const InputRange range = choose_range(histogram_of(values), 8, {.method = RangeMethod::Percentile, .percentile = 99});
  CHECK(range.high == 5);
}

TEST_CASE("constant, single and all-zero tensors have a range by every method") {
  for (const RangeMethod method : {RangeMethod::Max, RangeMethod::Percentile, RangeMethod::MeanSquaredError}) {
    CAPTURE(to_string(method));
    for (const float value : {3.0F, -0.25F, 1e-30F, 1e30F}) {
      CAPTURE(value);
      for (const std::size_t count : {1, 1000}) {
        const InputRange range = choose_range(histogram_of(std::vector<float>(count, value)), 8, {.method = method});
        CHECK(range.low <= 0);
        CHECK(range.high >= 0);
        CHECK((value > 0 ? range.low : range.high) == 0);
        CHECK((value > 0 ? range.high : range.low) == Approx(value));
        CHECK(fake_quantize(value, params(range, 8)) == Approx(value));
      }
    }
    for (const std::size_t count : {0, 10})
      CHECK(choose_range(histogram_of(std::vector<float>(count)), 8, {.method = method}) == InputRange{});
  }
}

TEST_CASE("values that keep off zero get a range from zero") {
  const InputRange range = choose_range(histogram_of({2, 3, 4}), 8, {.method = RangeMethod::Max});
  CHECK(range.low == 0);
  CHECK(range.high == 4);
}

TEST_CASE("range options out of bounds are all listed") {
  CHECK(validate(RangeOptions{}).empty());
  CHECK(validate(RangeOptions{.percentile = 0, .candidates = 0}).size() == 2);
  CHECK(validate(RangeOptions{.percentile = std::nan("")}).size() == 1);
  const Failure f = failure([] { return choose_range(Histogram{}, 8, {.percentile = 101, .candidates = -1}); });
  CHECK(f.code == Errc::InvalidArgument);
  CHECK_THAT(f.text, Contains("percentile is 101") && Contains("candidates is -1"));
}

TEST_CASE("ranges exist for integer widths only") {
  for (const int bits : {1, 9, 16}) {
    const Failure f = failure([bits] { return choose_range(Histogram{}, bits, {}); });
    CHECK(f.code == Errc::InvalidArgument);
    CHECK_THAT(f.text, Contains(std::to_string(bits) + " bits"));
  }
}
