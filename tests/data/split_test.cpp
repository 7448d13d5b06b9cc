#include "halftone/data/split.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

using Labels = std::vector<std::int64_t>;
using Parts = std::vector<std::vector<std::int64_t>>;

Parts split(const Labels& labels, const std::vector<double>& fractions, std::uint64_t seed = 1) {
  return stratified_split(labels, fractions, seed);
}

Labels random_labels(std::mt19937_64& random, std::size_t count, std::uint64_t classes) {
  Labels labels(count);
  for (auto& label : labels) label = static_cast<std::int64_t>(random() % classes * (random() % classes) % classes) - 2;
  return labels;
}

std::map<std::int64_t, double> class_counts(const Labels& labels, const std::vector<std::int64_t>& part) {
  std::map<std::int64_t, double> counts;
  for (const std::int64_t index : part) counts[labels[static_cast<std::size_t>(index)]] += 1;
  return counts;
}

}  // namespace

TEST_CASE("parts are disjoint, ascending, and hold their share of every class to within one sample") {
  std::mt19937_64 random(7);
  const std::vector<std::vector<double>> choices{{0.5},      {0.1, 0.2, 0.3},          {1},
                                                 {0.5, 0.5}, {1. / 3, 1. / 3, 1. / 3}, {0.01, 0.9}};
  for (int round = 0; round < 300; ++round) {
    const Labels labels = random_labels(random, 1 + random() % 400, 1 + random() % 20);
    const auto& fractions = choices[static_cast<std::size_t>(round) % choices.size()];
    Labels all(labels.size());
    std::iota(all.begin(), all.end(), 0);
    const auto totals = class_counts(labels, all);

    const Parts parts = split(labels, fractions, random());
    REQUIRE(parts.size() == fractions.size());
    std::set<std::int64_t> seen;
    for (std::size_t k = 0; k < parts.size(); ++k) {
      CHECK(std::is_sorted(parts[k].begin(), parts[k].end()));
      for (const std::int64_t index : parts[k]) CHECK(seen.insert(index).second);
      auto counts = class_counts(labels, parts[k]);
      for (const auto& [label, total] : totals) CHECK(std::abs(counts[label] - fractions[k] * total) < 1 + 1e-6);
    }
    if (!seen.empty()) CHECK((*seen.begin() >= 0 && *seen.rbegin() < static_cast<std::int64_t>(labels.size())));
    const double sum = std::accumulate(fractions.begin(), fractions.end(), 0.);
    if (sum > 0.999) CHECK(seen.size() == labels.size());
  }
}

TEST_CASE("classes of one sample are shared out too") {
  Labels labels(60);
  std::iota(labels.begin(), labels.end(), 0);
  const Parts parts = split(labels, {0.5, 0.25});
  CHECK(parts[0].size() == 30);
  CHECK(parts[1].size() == 15);
}

TEST_CASE("balanced labels split into balanced parts") {
  Labels labels;
  for (std::int64_t i = 0; i < 5000; ++i) labels.push_back(i % 10);
  const Parts parts = split(labels, {0.1, 0.6});
  for (const auto& [label, count] : class_counts(labels, parts[0])) CHECK(count == 50);
  for (const auto& [label, count] : class_counts(labels, parts[1])) CHECK(count == 300);
}

TEST_CASE("the seed decides which samples a part holds, and nothing else does") {
  const Labels labels(1000, 3);
  CHECK(split(labels, {0.5}, 1) == split(labels, {0.5}, 1));
  CHECK(split(labels, {0.5}, 1) != split(labels, {0.5}, 2));
  const Labels renamed(1000, -9);
  CHECK(split(labels, {0.5}, 1) == split(renamed, {0.5}, 1));
}

// Golden: split_golden.py
TEST_CASE("a split is the same on every machine") {
  const Labels labels{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 5};
  CHECK(split(labels, {0.5, 0.25}, 42) == Parts{{4, 6, 8, 9, 10, 11}, {0, 1, 2}});
}

TEST_CASE("every sample is equally likely to be drawn") {
  std::vector<int> drawn(5, 0);
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    const Parts parts = split(Labels(5, 0), {0.4}, seed);
    for (const std::int64_t index : parts[0]) ++drawn[static_cast<std::size_t>(index)];
  }
  // 2,000 expected, standard deviation 35.
  for (const int count : drawn) CHECK(std::abs(count - 2000) < 175);
}

TEST_CASE("a split that makes no sense is refused") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const auto text_of = [](const Labels& labels, const std::vector<double>& fractions) {
    const Failure bad = failure([&] { split(labels, fractions); });
    CHECK(bad.code == Errc::InvalidArgument);
    return bad.text;
  };
  CHECK_THAT(text_of({}, {0.5}), Contains("no labels"));
  CHECK_THAT(text_of({1}, {}), Contains("at least one fraction"));
  for (const double fraction : {0., -0.1, nan, infinity, 1.01})
    CHECK_THAT(text_of({1, 2}, {0.1, fraction}), Contains("a fraction of") && Contains("above 0 and at most 1"));
  CHECK_THAT(text_of({1, 2}, {0.5, 0.4, 0.2}), Contains("sum to 1.1: they may sum to 1 at most"));
  CHECK_NOTHROW(split({1, 2}, {0.7, 0.2, 0.1}));
  CHECK_NOTHROW(split({1, 2}, std::vector<double>(10, 0.1)));
}
