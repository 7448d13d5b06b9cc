#include <algorithm>
#include <limits>
#include <random>
#include <tuple>

#include "failure.hpp"
#include "halftone/order/ordering.hpp"
#include "search/fakes.hpp"

using namespace halftone;
using namespace halftone::fakes;
using Catch::Contains;

namespace {

std::vector<std::size_t> all(std::size_t sites) {
  std::vector<std::size_t> list(sites);
  for (std::size_t i = 0; i < sites; ++i) list[i] = i;
  return list;
}

/// Gains of so much from 16 to 8 bits, and half as much more to 4.
ListedLatency listed(const std::vector<double>& gains) {
  ListedLatency latency;
  for (const double gain : gains) latency.costs.push_back({{k16, 10}, {k8, 10 - gain}, {k4, 10 - 1.5 * gain}});
  return latency;
}

SensitivityTable scored(const std::vector<double>& scores) {
  SensitivityTable table{.metric = "toy"};
  for (const double score : scores) table.scores.push_back({{k8, score}, {k4, 4 * score}});
  return table;
}

/// A table whose scores are half the diagonal of its pairs, which are drawn by `seed`: positive semi-definite, or of
/// any sign where `indefinite`.
SensitivityTable with_pairs(std::size_t sites, unsigned seed, bool indefinite = false) {
  const std::vector<Precision> precisions{k8, k4};
  const std::size_t rows = sites * precisions.size();
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> values(rows * rows);
  if (indefinite) {
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j <= i; ++j) values[i * rows + j] = values[j * rows + i] = normal(random);
  } else {
    std::vector<std::vector<double>> vectors(rows, std::vector<double>(6));
    for (std::size_t i = 0; i < rows; ++i)
      for (double& entry : vectors[i]) entry = normal(random) * (i % 2 == 0 ? 1 : 3);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < rows; ++j)
        for (std::size_t k = 0; k < 6; ++k) values[i * rows + j] += vectors[i][k] * vectors[j][k];
  }
  SensitivityTable table{.metric = "pairs"};
  table.pairs = PairMatrix(sites, precisions, std::move(values), 0.25);
  for (std::size_t i = 0; i < sites; ++i)
    for (const Precision p : precisions) {
      if (table.scores.size() == i) table.scores.emplace_back();
      table.scores[i][p] = 0.25 * table.pairs->at(i, p, i, p) / 2;
    }
  return table;
}

PairMatrix scaled(const PairMatrix& pairs, double factor) {
  std::vector<double> values;
  for (std::size_t i = 0; i < pairs.sites(); ++i)
    for (const Precision p : pairs.precisions())
      for (std::size_t j = 0; j < pairs.sites(); ++j)
        for (const Precision q : pairs.precisions()) values.push_back(pairs.at(i, p, j, q) * (i == j ? 1 : factor));
  return {pairs.sites(), pairs.precisions(), std::move(values), pairs.scale()};
}

/// The definition, with the damage of every candidate computed anew.
Ordering by_brute_force(const PairMatrix& pairs, const LatencyModel& latency, const std::vector<Site>& sites, Plan plan,
                        Precision target, std::vector<std::size_t> open, bool per_gain) {
  Plan lowered = plan;
  for (const std::size_t site : open) lowered[site] = target;
  std::vector<double> gains(plan.size());
  for (const std::size_t site : open)
    gains[site] = (latency.gain(sites, plan, site, target) - latency.gain(sites, lowered, site, plan[site])) / 2;
  Ordering ordering;
  while (!open.empty()) {
    std::vector<std::tuple<int, double, std::size_t>> ranks;
    for (const std::size_t site : open) {
      Plan next = plan;
      next[site] = target;
      const double increase = pairs.damage(next) - pairs.damage(plan);
      if (!per_gain)
        ranks.emplace_back(1, increase, site);
      else if (gains[site] <= 1e-9)
        ranks.emplace_back(2, increase, site);
      else if (increase <= 0)
        ranks.emplace_back(0, -gains[site], site);
      else
        ranks.emplace_back(1, increase / gains[site], site);
    }
    const std::size_t site = std::get<2>(*std::min_element(ranks.begin(), ranks.end()));
    plan[site] = target;
    ordering.push_back(site);
    std::erase(open, site);
  }
  return ordering;
}

/// Gains and conversions of a chain, drawn by `seed`; some sites gain nothing.
ChainLatency random_chain(std::size_t sites, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(-0.3, 1);
  ChainLatency latency;
  for (std::size_t i = 0; i < sites; ++i) {
    const double gain = i % 5 == 4 ? 0 : uniform(random);
    latency.gains.push_back({{k8, gain}, {k4, 1.7 * gain}});
    if (i > 0) latency.costs.push_back(0.2);
  }
  return latency;
}

}  // namespace

TEST_CASE("by gain, sites come by score per latency gained") {
  const SensitivityTable table = scored({4, 6, 3, 1});
  const ListedLatency latency = listed({1, 3, 1, 0.1});
  const auto sites = make_sites(4);
  const OrderFn order = order_by_score_per_gain(table, sites, latency);
  CHECK(order(Plan::uniform(4, k16), k8, all(4)) == Ordering{1, 2, 0, 3});
  CHECK(order(Plan::uniform(4, k16), k8, {3, 0}) == Ordering{0, 3});
  CHECK(order(Plan::uniform(4, k16), k8, {}).empty());
  CHECK(order_by_score(table)(Plan::uniform(4, k16), k8, all(4)) == Ordering{3, 2, 0, 1});
}

TEST_CASE("by gain, scores of zero come first, largest gain first, and what gains nothing last, by score") {
  const SensitivityTable table = scored({0, 0, 9, 0.1, 3, 0});
  const ListedLatency latency = listed({1, 2, 5, 0, -1, 0});
  const auto sites = make_sites(6);
  CHECK(order_by_score_per_gain(table, sites, latency)(Plan::uniform(6, k16), k8, all(6)) ==
        Ordering{1, 0, 2, 5, 3, 4});
}

TEST_CASE("sites that score and gain the same keep the network's order, whatever rounding does") {
  const SensitivityTable table = scored(std::vector<double>(12, 0.1));
  ListedLatency latency;
  for (int i = 0; i < 12; ++i) latency.costs.push_back({{k16, 0.7 + 0.1 * i}, {k8, 0.6 + 0.1 * i}});
  const auto sites = make_sites(12);
  std::vector<std::size_t> asked = all(12);
  std::reverse(asked.begin(), asked.end());
  CHECK(order_by_score_per_gain(table, sites, latency)(Plan::uniform(12, k16), k8, asked) == all(12));
  CHECK(order_by_score_per_gain(table, sites, SizeLatency())(Plan::uniform(12, k16), k8, asked) == all(12));
}

TEST_CASE("what a site gains counts conversions at both ends of the way") {
  // A chain of three: each gains 1, conversions cost 2. Alone the middle one loses 3, and raised out of all it costs 5.
  ChainLatency latency;
  latency.gains.assign(3, {{k8, 1}});
  latency.gains[1][k8] = 0.5;
  latency.costs.assign(2, 2);
  const SensitivityTable table = scored({1, 0.4, 1});
  const auto sites = make_sites(3);
  CHECK(order_by_score_per_gain(table, sites, latency)(Plan::uniform(3, k16), k8, all(3)) == Ordering{1, 0, 2});
}

TEST_CASE("nested orders are what the definition says, damage computed anew for every candidate") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const std::size_t count = 2 + seed % 9;
    const SensitivityTable table = with_pairs(count, seed, /*indefinite=*/seed % 3 == 0);
    const ChainLatency latency = random_chain(count, seed);
    const auto sites = make_sites(count);
    for (const double factor : {1.0, 0.5, 0.0})
      for (const bool per_gain : {true, false}) {
        CAPTURE(factor, per_gain);
        const PairMatrix pairs = scaled(*table.pairs, factor);
        const OrderFn order = order_nested(table, sites, latency, {.off_diagonal = factor, .per_gain = per_gain});
        const Plan start = Plan::uniform(count, k16);
        REQUIRE(order(start, k8, all(count)) == by_brute_force(pairs, latency, sites, start, k8, all(count), per_gain));
        // From a point that was reached: every other site at 8 bits, and not all may go on.
        Plan reached = start;
        std::vector<std::size_t> open;
        for (std::size_t i = 0; i < count; ++i) {
          if (i % 3 != 2) reached[i] = k8;
          if (i % 4 != 3) open.insert(open.begin(), i);
        }
        const Ordering found = order(reached, k4, open);
        REQUIRE(found == by_brute_force(pairs, latency, sites, reached, k4, open, per_gain));
        REQUIRE(std::is_permutation(found.begin(), found.end(), open.begin(), open.end()));
      }
  }
}

TEST_CASE("with diagonal pairs, nested is score per gain from 16 bits") {
  for (unsigned seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    const std::size_t count = 1 + seed % 15;
    const SensitivityTable table = with_pairs(count, seed);
    const ChainLatency latency = random_chain(count, seed);
    const auto sites = make_sites(count);
    const Plan start = Plan::uniform(count, k16);
    for (const Precision target : {k8, k4})
      REQUIRE(order_nested(table, sites, latency, {.off_diagonal = 0})(start, target, all(count)) ==
              order_by_score_per_gain(table, sites, latency)(start, target, all(count)));
  }
}

TEST_CASE("a site that makes up for another's error comes right behind it") {
  // Sites 0 and 3 cancel: lowering 3 after 0 takes damage away.
  std::vector<double> values(16);
  for (std::size_t i = 0; i < 4; ++i) values[i * 4 + i] = 2 + 0.1 * static_cast<double>(i);
  values[3] = values[12] = -2.2;
  SensitivityTable table{.metric = "toy", .scores = std::vector<std::map<Precision, double>>(4)};
  table.pairs = PairMatrix(4, {k8}, values);
  const auto sites = make_sites(4);
  const ListedLatency latency = listed({1, 1, 1, 1});
  const Plan start = Plan::uniform(4, k16);
  CHECK(order_nested(table, sites, latency)(start, k8, all(4)) == Ordering{0, 3, 1, 2});
  CHECK(order_nested(table, sites, latency, {.off_diagonal = 0})(start, k8, all(4)) == Ordering{0, 1, 2, 3});
  // Of several that cost nothing the one that gains most comes first; what gains nothing stays last.
  table.pairs = PairMatrix(4, {k8}, std::vector<double>(16));
  CHECK(order_nested(table, sites, listed({1, 3, 0, 2}))(start, k8, all(4)) == Ordering{1, 3, 0, 2});
  CHECK(order_nested(table, sites, latency)(start, k8, {3, 1, 2}) == Ordering{1, 2, 3});
}

TEST_CASE("nested refuses what it cannot order, saying what to do") {
  const SensitivityTable plain = scored({1, 2});
  const auto sites = make_sites(2);
  const ListedLatency latency = listed({1, 1});
  const Failure pairs = failure([&] { (void)order_nested(plain, sites, latency); });
  CHECK(pairs.code == Errc::InvalidArgument);
  CHECK_THAT(pairs.text, Contains("\"toy\" says nothing of pairs") && Contains("interlayer or interlayer-pairs"));
  CHECK_THAT(failure([&] { (void)order_nested(plain, sites, latency, {.off_diagonal = 1.5}); }).text,
             Contains("off_diagonal is 1.5"));
  CHECK_THAT(failure([&] { (void)nested_order({.off_diagonal = std::numeric_limits<double>::quiet_NaN()}); }).text,
             Contains("off_diagonal is nan"));
  const SensitivityTable table = with_pairs(2, 1);
  const OrderFn order = order_nested(table, sites, latency);
  CHECK_THAT(failure([&] { (void)order(Plan::uniform(3, k16), k8, {0}); }).text, Contains("of 2 sites, the plan of 3"));
  CHECK_THAT(failure([&] { (void)order(Plan::uniform(2, k16), k8, {2}); }).text,
             Contains("site 2 is beyond the 2 sites of the plan"));
  CHECK_THAT(failure([&] { (void)order(Plan::uniform(2, k16), kW4A8, {0, 1}); }).text, Contains("precision w4a8"));
}

TEST_CASE("order methods have the names that the command line knows, and make those orders") {
  const SensitivityTable table = with_pairs(7, 5);
  const auto sites = make_sites(7);
  const ChainLatency latency = random_chain(7, 5);
  const Plan start = Plan::uniform(7, k16);
  const auto made = [&](const OrderMethod& method) { return method.make(table, sites, latency)(start, k4, all(7)); };
  CHECK(score_order().name == "score");
  CHECK(gain_order().name == "gain");
  CHECK(nested_order().name == "nested");
  CHECK_FALSE(score_order().needs_pairs);
  CHECK_FALSE(gain_order().needs_pairs);
  CHECK(nested_order().needs_pairs);
  CHECK(made(score_order()) == order_by_score(table)(start, k4, all(7)));
  CHECK(made(gain_order()) == order_by_score_per_gain(table, sites, latency)(start, k4, all(7)));
  CHECK(made(nested_order()) == order_nested(table, sites, latency)(start, k4, all(7)));
  CHECK(made(nested_order({.off_diagonal = 0})) == made(gain_order()));
}
