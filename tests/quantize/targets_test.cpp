// Several gates in one run, budgets, a latency target.
#include "failure.hpp"
#include "fixture.hpp"
#include "halftone/search/greedy.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

std::size_t lowered(const Plan& plan) {
  return static_cast<std::size_t>(std::count(plan.precisions.begin(), plan.precisions.end(), k8));
}

/// Simulated, with latency by size: the same in every run.
struct Fixture : QuantizeFixture {
  Fixture() {
    model_latency();
    parts.engine = nullptr;
    options.precisions = {k16, k8, k4, {2, 2}};
    data = mostly_right(model, 200);
  }
  [[nodiscard]] RunResult alone(const Gate& gate) {
    options.gates = {gate};
    return run();
  }
};

}  // namespace

TEST_CASE("several gates give each the plan that it has alone, and no plan is scored twice") {
  Fixture f;
  for (const bool by_damage : {false, true}) {
    std::vector<Gate> gates;
    for (const double limit : {1.0, 0.97, 0.9})
      gates.push_back(by_damage ? Gate{.kind = GateKind::Damage, .budget = 1.02 - limit} : Gate{.keep = limit});
    f.options.gates = {gates[0], gates[2], gates[1]};
    const RunResult all = f.run();
    REQUIRE(all.looser.size() == 2);
    const Plan* plans[] = {&all.plan, &all.looser[1].plan, &all.looser[0].plan};
    std::size_t evaluations = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      CAPTURE(by_damage, i);
      const RunResult one = f.alone(gates[i]);
      CHECK(f.parts.latency->estimate(f.model.sites, *plans[i]) <= f.parts.latency->estimate(f.model.sites, one.plan));
      CHECK(one.status == RunStatus::Met);
      evaluations += one.steps.size();
    }
    CHECK(all.steps.size() <= evaluations);
    for (std::size_t i = 0; i < all.steps.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) CHECK(all.steps[i].plan != all.steps[j].plan);
    for (const TargetResult& target : all.looser) {
      CHECK(target.status == RunStatus::Met);
      CHECK(target.gate.is_looser_than(all.gate));
      CHECK(target.gate.passes(target.figures.evaluation, all.baseline.evaluation));
    }
  }
}

TEST_CASE("a spent budget ends a run with the best plan so far and says which") {
  Fixture f;
  f.parts.search = std::make_shared<const Greedy>();
  f.options.gates = {{.kind = GateKind::Damage, .budget = 1e-3}};
  const RunResult whole = f.run();
  REQUIRE(whole.steps.size() > 3);
  f.options.limits.most_evaluations = 3;
  const RunResult cut = f.run();
  CHECK(cut.status == RunStatus::Stopped);
  CHECK(cut.stop_reason == "after 3 evaluations, all that were allowed");
  CHECK(cut.steps.size() == 3);
  check_result(cut);
  CHECK(cut.result.evaluation.passed);
  f.options.limits = {.most_seconds = 1e-9};
  CHECK_THAT(f.run().stop_reason, Contains("seconds, all that were allowed"));
}

TEST_CASE("the estimate of evaluations and seconds comes before the search") {
  Fixture f;
  std::string told;
  (void)f.run({.on_progress = {}, .should_stop = {}, .on_message = [&](std::string_view text) { told += text; }});
  CHECK_THAT(told, Contains("Search: at most") && Contains("plans to score"));
}

TEST_CASE("a latency target gives the plan of least damage within it") {
  Fixture f;
  f.options.precisions = {k16, k8};
  f.options.latency_target = LatencyTarget{.change = -0.4};
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  CHECK(run.result.predicted_latency <= 0.6 * run.baseline.predicted_latency);
  CHECK(lowered(run.plan) > 0);
  for (const SearchStep& step : run.steps) {
    CHECK_FALSE(step.evaluation.ended_early());
    if (step.latency <= 0.6 * run.baseline.predicted_latency)
      CHECK(run.result.evaluation.damage <= step.evaluation.damage);
  }
  f.options.latency_target = LatencyTarget{.limit = 1e-6};
  const RunResult tight = f.run();
  CHECK(tight.status == RunStatus::Missed);
  CHECK(tight.plan == Plan::uniform(5, k8));
  check_result(tight);
  CHECK(tight.result.evaluation.samples == 200);
  CHECK_THAT(text_report(tight), !Contains("before the 16-bit baseline"));
  f.options.latency_target = LatencyTarget{.limit = 1e6};
  const RunResult loose = f.run();
  CHECK(loose.status == RunStatus::Met);
  CHECK(loose.plan == Plan::uniform(5, k16));
}

TEST_CASE("a latency target is kept where 16 bits are not allowed, by a plan that was scored") {
  Fixture f;
  f.options.precisions = {k8, k4};
  f.options.latency_target = LatencyTarget{.change = -0.1};
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  CHECK(run.plan == Plan::uniform(5, k8));
  CHECK(run.result.evaluation.samples == 200);
}

TEST_CASE("budgets hold for a latency target too") {
  Fixture f;
  f.options.precisions = {k16, k8};
  f.options.latency_target = LatencyTarget{.change = -0.4};
  f.options.limits.most_seconds = 1e-9;
  CHECK(f.run().status == RunStatus::Stopped);
  f.options.limits = {.most_evaluations = 100};
  CHECK(f.run().steps.size() <= 8);
}

TEST_CASE("a gate that the baseline itself fails is missed") {
  Fixture f;
  f.options.gates = {{.kind = GateKind::Damage, .budget = 1e-12}};
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Missed);
  CHECK(run.plan == Plan::uniform(5, k16));
}

TEST_CASE("a latency target holds as measured where latency is measured") {
  QuantizeFixture f;
  f.options.latency_target = LatencyTarget{.change = -0.25};
  const RunResult run = f.run();
  REQUIRE(run.measured);
  CHECK(run.status == RunStatus::Met);
  CHECK(compare(run.measured->plan, run.measured->baseline).value <= 0.75);
}

TEST_CASE("targets that do not fit together are refused, all at once") {
  Fixture f;
  f.options.gates = {{.keep = 0.9}, {.keep = 2}, {.kind = GateKind::Damage, .budget = -1}};
  f.options.latency_target = LatencyTarget{.limit = 1, .change = -2};
  f.options.limits.repairs = -1;
  f.options.adjust_ranges = RangeAdjusting::Final;
  const auto refused = failure([&] { (void)f.run(); });
  for (const auto* const word :
       {"gates[1].keep is 2", "gates[2].budget is -1", "gates are of two kinds",
        "gates and latency_target are both given", "has limit 1 and change -2", "latency_target.change is -2",
        "limits: repairs is -1", "adjust_ranges is for the plan found"})
    CHECK_THAT(refused.text, Contains(word));
}

TEST_CASE("targets that the budget does not reach are not searched, and have the best plan known that passes") {
  Fixture f;
  f.options.gates = {{.keep = 0.5}, {.keep = 0.9}, {.keep = 1}};
  f.options.limits.most_evaluations = 1;
  const RunResult run = f.run();
  REQUIRE(run.looser.size() == 2);
  CHECK(run.looser[0].unsearched.empty());
  CHECK(run.looser[1].unsearched == "the budget was spent on looser targets");
  CHECK(run.unsearched == run.looser[1].unsearched);
  CHECK(run.decisions.empty());
  REQUIRE(run.steps.size() == 1);
  for (const TargetResult& target : all_targets(run)) {
    const bool passes = target.gate.passes(run.steps[0].evaluation, run.baseline.evaluation);
    CHECK(target.plan == (passes ? run.steps[0].plan : Plan::uniform(5, k16)));
  }
}
