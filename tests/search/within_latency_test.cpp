#include "halftone/search/within_latency.hpp"

#include <limits>

#include "catch.hpp"
#include "failure.hpp"
#include "quadratic.hpp"
#include "toy.hpp"

using namespace halftone;
using namespace halftone::fakes;
using Catch::Contains;

namespace {

/// Gives the true damage, in full.
class DamageEvaluator final : public Evaluator {
 public:
  explicit DamageEvaluator(const PredictedDamage& damage) : damage_(damage) {}
  std::optional<Evaluation> evaluate(const Plan& plan) override {
    if (evaluations == stop_after) return std::nullopt;
    ++evaluations;
    return Evaluation{.samples = 10, .damage = damage_.damage(plan), .passed = true};
  }
  int evaluations = 0;
  int stop_after = -1;

 private:
  const PredictedDamage& damage_;
};

/// Least damage of all plans that take at most `limit`.
double least_damage(const Quadratic& problem, double limit) {
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t bits = 0; bits < std::size_t{1} << problem.sites.size(); ++bits) {
    Plan plan = Plan::uniform(problem.sites.size(), k16);
    for (std::size_t i = 0; i < plan.size(); ++i)
      if ((bits >> i & 1) != 0) plan[i] = k8;
    if (problem.time(plan) <= limit) least = std::min(least, problem.damage.damage(plan));
  }
  return least;
}

}  // namespace

TEST_CASE("the plan within a latency is the enumerated one of least damage, in at most eight evaluations") {
  for (unsigned seed = 0; seed < 10; ++seed)
    for (const double share : {0.75, 0.85, 0.95}) {
      CAPTURE(seed, share);
      const Quadratic quadratic(9, {k16, k8}, seed);
      const double limit = share * quadratic.time(Plan::uniform(9, k16));
      DamageEvaluator evaluator(quadratic.damage);
      const auto found = search_within_latency(quadratic.problem(), evaluator, limit);
      const double least = least_damage(quadratic, limit);
      CHECK(found.is_within == std::isfinite(least));
      CHECK(evaluator.evaluations <= 8);
      if (!found.is_within) continue;
      CHECK(found.search.best_latency <= limit);
      CHECK(found.search.best_evaluation->damage == Approx(least));
    }
}

TEST_CASE("the baseline is the answer where it keeps the latency, and the fastest plan, unscored, where none does") {
  const Quadratic quadratic(6, {k16, k8}, 2);
  DamageEvaluator evaluator(quadratic.damage);
  const auto loose = search_within_latency(quadratic.problem(), evaluator, 1e9);
  CHECK(loose.is_within);
  CHECK(loose.search.best == Plan::uniform(6, k16));
  const auto tight = search_within_latency(quadratic.problem(), evaluator, 1);
  CHECK_FALSE(tight.is_within);
  CHECK(tight.search.best == Plan::uniform(6, k8));
  CHECK_FALSE(tight.search.best_evaluation);
  CHECK(evaluator.evaluations == 0);
}

TEST_CASE("a search within a latency keeps its budget, and what it has when it is stopped") {
  const Quadratic quadratic(9, {k16, k8}, 4);
  const double limit = 0.85 * quadratic.time(Plan::uniform(9, k16));
  DamageEvaluator evaluator(quadratic.damage);
  SearchProblem problem = quadratic.problem();
  problem.limits.most_evaluations = 2;
  CHECK(search_within_latency(problem, evaluator, limit).search.steps.size() == 2);
  DamageEvaluator stopped(quadratic.damage);
  stopped.stop_after = 1;
  const auto found = search_within_latency(quadratic.problem(), stopped, limit);
  CHECK(found.search.status == SearchStatus::Stopped);
  CHECK(found.is_within);
  problem.predict = {};
  CHECK_THAT(failure([&] { (void)search_within_latency(problem, evaluator, limit); }).text,
             Contains("needs a metric's sensitivities"));
}
