// Budgets, repair and what is known beforehand: what every search has in common.
#include <algorithm>
#include <memory>

#include "catch.hpp"
#include "failure.hpp"
#include "halftone/search/bisection.hpp"
#include "halftone/search/frontier.hpp"
#include "halftone/search/greedy.hpp"
#include "quadratic.hpp"
#include "toy.hpp"

using namespace halftone;
using namespace halftone::fakes;
using Catch::Contains;

namespace {

std::vector<std::unique_ptr<SearchStrategy>> strategies() {
  std::vector<std::unique_ptr<SearchStrategy>> list;
  list.push_back(std::make_unique<Bisection>());
  list.push_back(std::make_unique<Bisection>(2));
  list.push_back(std::make_unique<Greedy>());
  list.push_back(std::make_unique<Frontier>());
  return list;
}

/// Passing or not at random, whatever the plan: accuracy is not monotone.
auto by_chance(unsigned seed) {
  return FunctionEvaluator([seed](const Plan& plan) {
    std::seed_seq words{seed, static_cast<unsigned>(std::hash<std::string>{}(to_string(plan)))};
    return std::mt19937(words)() % 2 == 0;
  });
}

}  // namespace

TEST_CASE("no search returns a plan that failed, whatever passes, with repair and without") {
  for (unsigned seed = 0; seed < 40; ++seed)
    for (const auto& strategy : strategies())
      for (const int repairs : {0, 8}) {
        CAPTURE(seed, strategy->name(), repairs);
        const Quadratic quadratic(1 + seed % 9, seed % 2 == 0 ? std::vector{k16, k8} : std::vector{k16, k8, k4}, seed);
        auto evaluator = by_chance(seed);
        SearchProblem problem = quadratic.problem();
        problem.limits.repairs = repairs;
        const SearchResult result = strategy->search(problem, evaluator);
        if (result.best == Plan::uniform(quadratic.sites.size(), k16)) continue;
        const SearchStep* step = find_step(result.steps, result.best);
        REQUIRE(step != nullptr);
        CHECK(step->evaluation.passed);
        for (const SearchStep& other : result.steps)
          if (other.evaluation.passed) CHECK(result.best_latency <= other.latency);
      }
}

TEST_CASE("a budget of evaluations is never exceeded, and the best plan by then is the result") {
  for (const auto& strategy : strategies())
    for (int most = 1; most < 8; ++most) {
      CAPTURE(strategy->name(), most);
      const Quadratic quadratic(12, {k16, k8}, 7);
      auto evaluator = quadratic.within(quadratic.budget(0.2));
      SearchProblem problem = quadratic.problem();
      problem.limits.most_evaluations = most;
      const SearchResult result = strategy->search(problem, evaluator);
      CHECK(std::ssize(result.steps) <= most);
      if (result.status == SearchStatus::OutOfBudget) CHECK(std::ssize(result.steps) == most);
      for (const SearchStep& step : result.steps)
        if (step.evaluation.passed) CHECK(result.best_latency <= step.latency);
    }
}

TEST_CASE("a budget of seconds ends a search between evaluations") {
  const Quadratic quadratic(12, {k16, k8}, 7);
  auto evaluator = quadratic.within(quadratic.budget(0.2));
  SearchProblem problem = quadratic.problem();
  problem.limits.most_seconds = 1e-9;
  const SearchResult result = Greedy().search(problem, evaluator);
  CHECK(result.status == SearchStatus::OutOfBudget);
  CHECK(result.steps.empty());
  CHECK(result.best == Plan::uniform(12, k16));
}

TEST_CASE("limits out of range are refused, all at once") {
  const Quadratic quadratic(3, {k16, k8}, 7);
  auto evaluator = quadratic.within(1);
  SearchProblem problem = quadratic.problem();
  problem.limits = {.most_evaluations = -1, .most_seconds = -2, .repairs = -3};
  const auto refused = failure([&] { (void)Bisection().search(problem, evaluator); });
  for (const auto* const word : {"most_evaluations is -1", "most_seconds is -2", "repairs is -3"})
    CHECK_THAT(refused.text, Contains(word));
}

TEST_CASE("repair lowers what a search left, in order of gain per predicted damage, within its number of tries") {
  double before = 0;
  double after = 0;
  for (unsigned seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    const Quadratic quadratic(14, {k16, k8}, seed);
    const double budget = quadratic.budget(0.2);
    const auto find = [&](int repairs) {
      auto evaluator = quadratic.within(budget);
      SearchProblem problem = quadratic.problem();  // ordered as listed: a poor order
      problem.limits.repairs = repairs;
      return Bisection().search(problem, evaluator);
    };
    const SearchResult plain = find(0);
    const SearchResult repaired = find(8);
    CHECK(repaired.best_latency <= plain.best_latency);
    REQUIRE(repaired.steps.size() >= plain.steps.size());
    CHECK(repaired.steps.size() <= plain.steps.size() + 8);
    // The first try: of the sites still at 16 bits the one that gains most for its damage.
    if (repaired.steps.size() > plain.steps.size()) {
      const Plan& tried = repaired.steps[plain.steps.size()].plan;
      const auto ratio = [&](const Plan& plan) {
        return (quadratic.damage.damage(plan) - quadratic.damage.damage(plain.best)) /
               (plain.best_latency - quadratic.time(plan));
      };
      for (std::size_t i = 0; i < 14; ++i) {
        Plan other = plain.best;
        if (other[i] == k8) continue;
        other[i] = k8;
        if (find_step(plain.steps, other) != nullptr) continue;
        if (quadratic.damage.damage(other) > quadratic.damage.damage(plain.best))
          CHECK(ratio(tried) <= ratio(other) + 1e-12);
      }
    }
    before += plain.best_latency;
    after += repaired.best_latency;
  }
  CHECK(after < 0.97 * before);
}

TEST_CASE("where damage cannot be predicted nothing is repaired, and sensitivities are not asked for in vain") {
  const Quadratic quadratic(8, {k16, k8}, 3);
  auto evaluator = quadratic.within(quadratic.budget(0.3));
  SearchProblem problem = quadratic.problem();
  problem.predict = {};
  problem.limits.repairs = 0;
  const auto plain = Bisection().search(problem, evaluator).steps.size();
  problem.limits.repairs = 8;
  CHECK(Bisection().search(problem, evaluator).steps.size() == plain);
  problem.predict = []() -> const PredictedDamage& { throw std::runtime_error("asked"); };
  FunctionEvaluator all([](const Plan&) { return true; });
  CHECK(Bisection().search(problem, all).best == Plan::uniform(8, k8));
}

TEST_CASE("plans that are known beforehand are not scored again, count in no budget and may be the result") {
  for (const auto& strategy : strategies()) {
    CAPTURE(strategy->name());
    const Quadratic quadratic(10, {k16, k8}, 11);
    auto evaluator = quadratic.within(quadratic.budget(0.2));
    SearchProblem problem = quadratic.problem();
    problem.limits.repairs = 0;
    const SearchResult first = strategy->search(problem, evaluator);
    problem.known = first.steps;
    FunctionEvaluator none([](const Plan&) -> bool { throw std::runtime_error("scored"); });
    const SearchResult second = strategy->search(problem, none);
    CHECK(second.steps.empty());
    CHECK(second.best == first.best);
    CHECK(second.best_evaluation.has_value() == first.best_evaluation.has_value());
    REQUIRE(second.decisions.size() == first.decisions.size());
    for (std::size_t i = 0; i < first.decisions.size(); ++i) CHECK(second.decisions[i].text == first.decisions[i].text);
    problem.limits = {.most_evaluations = 3};
    const SearchResult repaired = strategy->search(problem, evaluator);
    CHECK(repaired.steps.size() <= 3);
    CHECK(repaired.best_latency <= first.best_latency);
  }
}

TEST_CASE("bisection probes past the first failing prefix, as often as it was asked to") {
  // Of prefixes of 0 to 12 sites those of 6 and of 9 and more fail: halving finds 5.
  const std::vector<Site> sites = make_sites(12);
  const std::vector<Precision> precisions{k16, k8};
  const OrderFn order = as_listed;
  FunctionEvaluator evaluator([](const Plan& plan) {
    const auto lowered = std::count(plan.precisions.begin(), plan.precisions.end(), k8);
    return lowered != 6 && lowered < 9;
  });
  const SizeLatency latency;
  const SearchProblem problem{sites, precisions, order, latency};
  const auto lowered = [&](int probes) {
    const SearchResult result = Bisection(probes).search(problem, evaluator);
    CHECK(result.steps.size() <= Bisection(probes).most_evaluations(12, 2));
    return std::count(result.best.precisions.begin(), result.best.precisions.end(), k8);
  };
  CHECK(lowered(0) == 5);
  CHECK(lowered(1) == 7);
  CHECK(lowered(2) == 8);
  CHECK(lowered(4) == 8);
}
