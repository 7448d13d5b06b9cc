#include "halftone/search/unit_search.hpp"

#include <limits>
#include <memory>

#include "catch.hpp"
#include "halftone/search/bisection.hpp"
#include "halftone/search/frontier.hpp"
#include "halftone/search/greedy.hpp"
#include "halftone/search/within_latency.hpp"
#include "quadratic.hpp"
#include "toy.hpp"

using namespace halftone;
using namespace halftone::fakes;

namespace {

const std::vector<Precision> kThree{k16, k8, k4};

/// A quadratic problem under rules.
struct Ruled {
  Ruled(const Quadratic& problem, const SiteUnits& units_, Evaluator& evaluator, const OrderMethod& method,
        std::span<const SearchStep> known = {})
      : quadratic(problem), units(units_), search(units, problem.sites, problem.latency, evaluator) {
    search.begin(known);
    table = search.table(problem.table);
    damage.emplace(table);
    order = method.make(table, search.sites(), search.latency());
  }
  [[nodiscard]] SearchProblem problem() const {
    return {.sites = search.sites(),
            .precisions = quadratic.precisions,
            .order = order,
            .latency = search.latency(),
            .predict = [this]() -> const PredictedDamage& { return *damage; },
            .known = search.known()};
  }

  const Quadratic& quadratic;
  const SiteUnits& units;
  UnitSearch search;
  SensitivityTable table;
  std::optional<PredictedDamage> damage;
  OrderFn order;
};

std::string one_of(std::size_t count, std::mt19937& random, std::size_t picks) {
  std::string pattern = "site" + std::to_string(random() % count);
  for (std::size_t k = 1; k < picks; ++k) pattern += "|site" + std::to_string(random() % count);
  return pattern;
}

/// Rules over `site0` …; at least one site stays free of them.
std::vector<SiteRule> random_rules(std::size_t count, std::mt19937& random) {
  std::vector<SiteRule> rules{{RuleKind::Together, "site0|" + one_of(count - 1, random, 2) + "|site1"}};
  rules.push_back({RuleKind::AtLeast, one_of(count - 1, random, 2), random() % 2 == 0 ? k8 : k16});
  if (random() % 2 == 0) rules.push_back({RuleKind::Out, one_of(count - 1, random, 1)});
  return rules;
}

/// Least of `value` over all plans that `allowed` lets through; infinite where there is none.
double least(const Quadratic& problem, const std::function<bool(const Plan&)>& allowed,
             const std::function<double(const Plan&)>& value) {
  double found = std::numeric_limits<double>::infinity();
  std::vector<std::size_t> digits(problem.sites.size());
  Plan plan = Plan::uniform(digits.size(), problem.precisions.front());
  while (true) {
    if (allowed(plan)) found = std::min(found, value(plan));
    std::size_t site = 0;
    for (; site < digits.size(); ++site) {
      digits[site] = (digits[site] + 1) % problem.precisions.size();
      plan[site] = problem.precisions[digits[site]];
      if (digits[site] != 0) break;
    }
    if (site == digits.size()) return found;
  }
}

/// Gives plans a digest, as evaluators of networks do.
struct DigestingEvaluator : Evaluator {
  explicit DigestingEvaluator(Evaluator& inner_) : inner(inner_) {}
  std::optional<Evaluation> evaluate(const Plan& plan) override {
    auto evaluation = inner.evaluate(plan);
    evaluation->plan_digest = to_string(plan);
    return evaluation;
  }
  Evaluator& inner;
};

std::vector<std::shared_ptr<const SearchStrategy>> strategies() {
  return {std::make_shared<Bisection>(1), std::make_shared<Greedy>(), std::make_shared<Frontier>()};
}

}  // namespace

TEST_CASE("whatever the search, the order and the rules, every plan scored obeys them and none is scored twice") {
  std::mt19937 random(11);
  for (unsigned seed = 0; seed < 40; ++seed) {
    const Quadratic quadratic(9, kThree, seed);
    const SiteUnits units(quadratic.sites, random_rules(9, random), kThree);
    for (const auto& strategy : strategies())
      for (const OrderMethod& method : {score_order(), gain_order(), nested_order()}) {
        CAPTURE(seed, strategy->name(), method.name);
        const double budget = quadratic.budget(0.3);
        auto inner = quadratic.within(budget);
        CountingEvaluator counting(inner);
        Ruled ruled(quadratic, units, counting, method);
        const SearchResult found = ruled.search.expand(strategy->search(ruled.problem(), ruled.search.evaluator()));
        CHECK_FALSE(counting.repeated);
        CHECK(static_cast<int>(found.steps.size()) == counting.calls);
        CHECK(units.obeys(found.best));
        CHECK(quadratic.damage.damage(found.best) <= budget);
        CHECK(found.best_latency == Approx(quadratic.time(found.best)));
        for (const SearchStep& step : found.steps) {
          CHECK(units.obeys(step.plan));
          CHECK(step.latency == Approx(quadratic.time(step.plan)));
        }
      }
  }
}

TEST_CASE("the predicted frontier under rules finds the optimum of all plans that obey them") {
  std::mt19937 random(3);
  for (unsigned seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    const Quadratic quadratic(7, kThree, seed);
    const SiteUnits units(quadratic.sites, random_rules(7, random), kThree);
    auto evaluator = quadratic.within(0);
    Ruled ruled(quadratic, units, evaluator, gain_order());
    const auto list =
        predicted_frontier(ruled.search.sites(), kThree, ruled.search.latency(), *ruled.damage, FrontierOptions{});
    for (const PredictedPlan& entry : list) {
      const Plan plan = units.expand(entry.plan);
      CHECK(entry.damage == Approx(quadratic.damage.damage(plan)));
      const double best = least(
          quadratic, [&](const Plan& other) { return units.obeys(other) && quadratic.time(other) <= entry.latency; },
          [&](const Plan& other) { return quadratic.damage.damage(other); });
      CHECK(entry.damage == Approx(best).margin(1e-12));
    }
  }
}

TEST_CASE("within a latency the plan found obeys the rules") {
  std::mt19937 random(5);
  for (unsigned seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const Quadratic quadratic(7, kThree, seed);
    const SiteUnits units(quadratic.sites, random_rules(7, random), kThree);
    auto passing = quadratic.within(1e9);
    Ruled ruled(quadratic, units, passing, gain_order());
    const double fastest = quadratic.time(units.constrain(Plan::uniform(7, k4)));
    const double limit = 0.5 * (fastest + quadratic.time(Plan::uniform(7, k16)));
    const auto found = search_within_latency(ruled.problem(), ruled.search.evaluator(), limit);
    const Plan plan = ruled.search.expand(found.search).best;
    CHECK(found.is_within);
    CHECK(units.obeys(plan));
    CHECK(quadratic.time(plan) <= limit);
  }
}

TEST_CASE("a search without rules goes the same way over units as over sites") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Quadratic quadratic(10, kThree, seed);
    const SiteUnits units(quadratic.sites, {}, kThree);
    for (const auto& strategy : strategies()) {
      CAPTURE(seed, strategy->name());
      auto evaluator = quadratic.within(quadratic.budget(0.2));
      Ruled ruled(quadratic, units, evaluator, nested_order());
      const SearchResult over_units = ruled.search.expand(strategy->search(ruled.problem(), ruled.search.evaluator()));
      SearchProblem plain = quadratic.problem();
      const OrderFn order = nested_order().make(quadratic.table, quadratic.sites, quadratic.latency);
      const SearchProblem ordered{plain.sites, plain.precisions, order, plain.latency, plain.predict};
      const SearchResult over_sites = strategy->search(ordered, evaluator);
      CHECK(over_units.best == over_sites.best);
      CHECK(decisions(over_units) == decisions(over_sites));
      REQUIRE(over_units.steps.size() == over_sites.steps.size());
      for (std::size_t i = 0; i < over_sites.steps.size(); ++i)
        CHECK(over_units.steps[i].plan == over_sites.steps[i].plan);
    }
  }
}

TEST_CASE("plans scored before count where they obey the rules, and are not scored again") {
  const Quadratic quadratic(6, kThree, 1);
  const std::vector<SiteRule> rules{{RuleKind::Together, "site0|site1"}, {RuleKind::AtLeast, "site5", k8}};
  const SiteUnits units(quadratic.sites, rules, kThree);
  const double budget = quadratic.budget(0.3);
  auto inner = quadratic.within(budget);
  Ruled first(quadratic, units, inner, gain_order());
  const SearchResult found = first.search.expand(Frontier().search(first.problem(), first.search.evaluator()));
  REQUIRE_FALSE(found.steps.empty());
  std::vector<SearchStep> known = found.steps;
  known.push_back({.plan = {{k16, k8, k8, k8, k8, k8}}, .evaluation = verdict(true), .latency = 0.1});  // disobeys
  CountingEvaluator counting(inner);
  Ruled again(quadratic, units, counting, gain_order(), known);
  CHECK(again.search.known().size() == found.steps.size());
  const SearchResult second = again.search.expand(Frontier().search(again.problem(), again.search.evaluator()));
  CHECK(counting.calls == 0);
  CHECK(second.best == found.best);
}

TEST_CASE("no decision is of a unit lower than it may be") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Quadratic quadratic(6, kThree, seed);
    const std::vector<SiteRule> rules{{RuleKind::AtLeast, "site[0-3]", k8}};
    const SiteUnits units(quadratic.sites, rules, kThree);
    for (const auto& strategy : strategies()) {
      auto inner = quadratic.within(quadratic.budget(0.2));
      DigestingEvaluator evaluator(inner);
      Ruled ruled(quadratic, units, evaluator, gain_order());
      const SearchResult found = ruled.search.expand(strategy->search(ruled.problem(), ruled.search.evaluator()));
      CHECK(found.best_latency == quadratic.time(found.best));
      for (const SearchStep& step : found.steps) CHECK(step.latency == quadratic.time(step.plan));
      for (const Decision& decision : found.decisions)
        for (const char* low : {"site0 at 4", "site1 at 4", "site2 at 4", "site3 at 4"}) {
          CAPTURE(seed, strategy->name(), decision.text);
          CHECK(decision.text.find(low) == std::string::npos);
        }
    }
  }
}

TEST_CASE("sites that stay below 16 bits count in the damage that units are predicted to do") {
  for (unsigned seed = 0; seed < 10; ++seed) {
    const Quadratic of_three(5, kThree, seed);
    const std::vector<Precision> lower{k8, k4};
    const std::vector<SiteRule> rules{{RuleKind::Together, "site1|site3"}, {RuleKind::Out, "site2"}};
    const SiteUnits units(of_three.sites, rules, lower);
    auto evaluator = of_three.within(1);
    const UnitSearch search(units, of_three.sites, of_three.latency, evaluator);
    const PredictedDamage damage(search.table(of_three.table));
    const Plan a{{k8, k4, k4}};
    const Plan b{{k4, k8, k4}};
    const double expected = of_three.damage.damage(units.expand(a)) - of_three.damage.damage(units.expand(b));
    CHECK(damage.damage(a) - damage.damage(b) == Approx(expected));
  }
}
