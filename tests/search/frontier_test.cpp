#include "halftone/search/frontier.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "catch.hpp"
#include "failure.hpp"
#include "quadratic.hpp"
#include "toy.hpp"

using namespace halftone;
using namespace halftone::fakes;
using Catch::Contains;

namespace {

/// Least latency of all plans within `budget`.
double optimum(const Quadratic& problem, double budget) {
  double least = std::numeric_limits<double>::infinity();
  std::vector<std::size_t> digits(problem.sites.size());
  Plan plan = Plan::uniform(digits.size(), problem.precisions.front());
  while (true) {
    if (problem.damage.damage(plan) <= budget) least = std::min(least, problem.time(plan));
    std::size_t site = 0;
    for (; site < digits.size(); ++site) {
      digits[site] = (digits[site] + 1) % problem.precisions.size();
      plan[site] = problem.precisions[digits[site]];
      if (digits[site] != 0) break;
    }
    if (site == digits.size()) return least;
  }
}

SearchResult find(const Quadratic& quadratic, double budget, int repairs = 0, const FrontierOptions& options = {}) {
  auto evaluator = quadratic.within(budget);
  SearchProblem problem = quadratic.problem();
  problem.limits.repairs = repairs;
  return Frontier(options).search(problem, evaluator);
}

/// No plan of two precisions within `budget` is faster: for any weight w the least of latency + w (damage - budget)
/// over the cube, damage convex there, bounds the least over its corners. D, which the corners turn into a linear term,
/// makes it tighter. What coordinate descent leaves open is counted off by its gradient.
double lower_bound(const Quadratic& problem, double budget) {
  const std::size_t n = problem.sites.size();
  const PairMatrix& pairs = *problem.table.pairs;
  const auto at = [&](std::size_t i, std::size_t j) { return pairs.at(i, k8, j, k8) - (i == j ? problem.own[i] : 0); };
  std::vector<double> gain(n);
  double slowest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    gain[i] = problem.latency.costs[i].at(k16) - problem.latency.costs[i].at(k8);
    slowest += problem.latency.costs[i].at(k16);
  }
  double best = 0;
  std::vector<double> x(n, 0.5);
  for (int k = -40; k <= 40; ++k) {
    const double weight = std::exp(k / 8.0);
    const auto slope = [&](std::size_t i) {
      double sum = 0;
      for (std::size_t j = 0; j < n; ++j) sum += at(i, j) * x[j];
      return weight * (sum + problem.own[i] / 2) - gain[i];
    };
    for (int round = 0; round < 400; ++round)
      for (std::size_t i = 0; i < n; ++i) {
        const double curvature = std::max(weight * at(i, i), 1e-9);
        x[i] = std::clamp(x[i] - slope(i) / curvature, 0.0, 1.0);
      }
    double value = slowest - weight * budget;
    for (std::size_t i = 0; i < n; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < n; ++j) sum += at(i, j) * x[j];
      value += weight * (x[i] * sum / 2 + problem.own[i] * x[i] / 2) - gain[i] * x[i];
      const double s = slope(i);
      value += std::min(-s * x[i], s * (1 - x[i]));
    }
    best = std::max(best, value);
  }
  return best;
}

}  // namespace

TEST_CASE("the frontier search meets the enumerated optimum of random quadratic problems") {
  const auto check = [](const Quadratic& problem) {
    for (const double share : {0.02, 0.1, 0.3, 0.7}) {
      CAPTURE(share);
      const double budget = problem.budget(share);
      CHECK(find(problem, budget).best_latency == Approx(optimum(problem, budget)).epsilon(1e-12));
    }
  };
  for (unsigned seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    check(Quadratic(1 + seed % 11, {k16, k8}, seed));
    check(Quadratic(1 + seed % 6, {k16, k8, k4}, seed));
  }
  check(Quadratic(16, {k16, k8}, 99));
}

TEST_CASE("where plans are too many to enumerate the frontier stays near the optimum") {
  double sum = 0;
  int count = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const Quadratic two(12, {k16, k8}, seed);
    const Quadratic three(7, {k16, k8, k4}, seed);
    for (const Quadratic* problem : {&two, &three})
      for (const double share : {0.05, 0.2, 0.5}) {
        const double budget = problem->budget(share);
        const double ratio = find(*problem, budget, 0, {.most_enumerated = 1}).best_latency / optimum(*problem, budget);
        CHECK(ratio >= 1 - 1e-12);
        CHECK(ratio < 1.05);
        sum += ratio;
        ++count;
      }
  }
  CHECK(sum / count < 1.005);
}

TEST_CASE("on 50 sites the frontier search is within 1 % of a proven bound") {
  for (unsigned seed = 0; seed < 3; ++seed)
    for (const double share : {0.1, 0.3}) {
      CAPTURE(seed, share);
      const Quadratic problem(50, {k16, k8}, seed);
      const double budget = problem.budget(share);
      const SearchResult found = find(problem, budget);
      const double bound = lower_bound(problem, budget);
      CHECK(found.best_latency >= bound);
      CHECK(found.best_latency <= 1.01 * bound);
      CHECK(found.steps.size() <= 12);
    }
}

TEST_CASE("with sites that do not act on each other the frontier holds the prefixes by damage per gain") {
  Quadratic problem(14, {k16, k8}, 5);
  std::vector<double> values = problem.table.pairs->values();
  for (std::size_t i = 0; i < 14; ++i)
    for (std::size_t j = 0; j < 14; ++j)
      if (i != j) values[14 * i + j] = 0;
  SensitivityTable table = problem.table;
  table.pairs = PairMatrix(14, {k8}, values);
  const PredictedDamage damage(table);
  const auto order = order_by_score_per_gain(table, problem.sites, problem.latency);
  std::vector<std::size_t> all(14);
  for (std::size_t i = 0; i < 14; ++i) all[i] = i;
  for (const std::size_t enumerated : {std::size_t{1} << 16, std::size_t{1}}) {
    const auto list =
        predicted_frontier(problem.sites, problem.precisions, problem.latency, damage, {.most_enumerated = enumerated});
    Plan plan = Plan::uniform(14, k16);
    for (const std::size_t site : order(plan, k8, all)) {
      plan[site] = k8;
      CHECK(std::any_of(list.begin(), list.end(), [&](const PredictedPlan& entry) { return entry.plan == plan; }));
    }
  }
}

TEST_CASE("a predicted frontier gets faster and more damaging from plan to plan, and starts at the baseline") {
  for (const std::size_t enumerated : {std::size_t{1} << 16, std::size_t{1}}) {
    const Quadratic problem(9, {k16, k8, k4}, 3);
    const auto list = predicted_frontier(problem.sites, problem.precisions, problem.latency, problem.damage,
                                         {.most_enumerated = enumerated});
    REQUIRE(list.size() > 5);
    CHECK(list.front().plan == Plan::uniform(9, k16));
    for (std::size_t i = 0; i < list.size(); ++i) {
      CHECK(list[i].latency == Approx(problem.time(list[i].plan)));
      CHECK(list[i].damage == Approx(problem.damage.damage(list[i].plan)).margin(1e-12));
      if (i == 0) continue;
      CHECK(list[i].latency < list[i - 1].latency);
      CHECK(list[i].damage >= list[i - 1].damage);
    }
  }
}

TEST_CASE("the frontier search refuses where nothing predicts damage, and asks for nothing where all pass at once") {
  const Quadratic quadratic(5, {k16, k8}, 1);
  SearchProblem problem = quadratic.problem();
  problem.predict = {};
  FunctionEvaluator all([](const Plan&) { return true; });
  CHECK_THAT(failure([&] { (void)Frontier().search(problem, all); }).text, Contains("needs a metric's sensitivities"));
  problem.predict = []() -> const PredictedDamage& { throw std::runtime_error("asked"); };
  CHECK(Frontier().search(problem, all).best == Plan::uniform(5, k8));
}

TEST_CASE("where sites are predicted to do no damage the frontier still begins with the baseline") {
  const Quadratic quadratic(6, {k16, k8}, 1);
  SensitivityTable table = quadratic.table;
  table.pairs.reset();
  for (auto& scores : table.scores) scores[k8] = 0;
  const PredictedDamage nothing(table);
  const auto list = predicted_frontier(quadratic.sites, quadratic.precisions, quadratic.latency, nothing);
  REQUIRE(list.size() == 2);
  CHECK(list.front().plan == Plan::uniform(6, k16));
  SearchProblem problem = quadratic.problem();
  problem.predict = [&]() -> const PredictedDamage& { return nothing; };
  FunctionEvaluator none([](const Plan&) { return false; });
  CHECK(Frontier().search(problem, none).best == Plan::uniform(6, k16));
}

TEST_CASE("the frontier search leaves sites that lose time at the second precision where they are") {
  Quadratic quadratic(5, {k16, k8}, 1);
  quadratic.latency.costs[2][k8] = 20;
  FunctionEvaluator all([](const Plan&) { return true; });
  Plan expected = Plan::uniform(5, k8);
  expected[2] = k16;
  CHECK(Frontier().search(quadratic.problem(), all).best == expected);
}
