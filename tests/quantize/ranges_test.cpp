#include <algorithm>
#include <set>

#include "failure.hpp"
#include "fixture.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// Steps that suit a network of five small sites.
QuantizeFixture fixture(RangeAdjusting adjusting) {
  QuantizeFixture f;
  f.parts.engine = nullptr;
  f.options.precisions = {k16, k8, kW4A8};
  f.options.adjust_ranges = adjusting;
  f.options.adjust = {.steps = 8, .learning_rate = 0.02, .step_samples = 10, .steps_per_check = 1};
  return f;
}

}  // namespace

TEST_CASE("how ranges of weights are chosen is measured for every width and recorded") {
  const RunResult run = fixture(RangeAdjusting::None).run();
  CHECK(run.range_weight == "auto");
  REQUIRE(run.weight_methods.size() == 2);
  CHECK(run.weight_methods[0].bits == 8);
  CHECK(run.weight_methods[1].precision == kW4A8);
  for (const auto& choice : run.weight_methods) REQUIRE(choice.trials.size() == 2);
  CHECK(run.adjustments.empty());
  CHECK_THAT(text_report(run), Contains("weights at 8 bits  by ") && Contains("damage of all sites at w4a8: max"));

  QuantizeFixture fixed = fixture(RangeAdjusting::None);
  fixed.options.weight_range = {.method = RangeMethod::Max};
  CHECK(fixed.run().weight_methods.empty());
}

TEST_CASE("ranges are adjusted before the search, every width once") {
  const RunResult run = fixture(RangeAdjusting::Search).run();
  CHECK(run.adjust_ranges == "search");
  REQUIRE(run.adjustments.size() == 2);
  CHECK(run.adjustments[0].plan == "all 5 sites at 8 bits");
  CHECK(run.adjustments[1].plan == "all 5 sites at w4a8");
  CHECK(run.adjustments[0].bounds == 28);
  CHECK(run.adjustments[1].bounds == 20);  // activations at 8 bits have been adjusted
  CHECK(run.backward_passes > 0);
  CHECK(std::any_of(run.seconds.begin(), run.seconds.end(), [](const auto& stage) { return stage.first == "adjust"; }));
  CHECK_THAT(text_report(run), Contains("adjusted: all 5 sites at 8 bits"));
  check_result(run);
}

TEST_CASE("ranges adjusted to the plan found are kept only with the score that they have") {
  QuantizeFixture f = fixture(RangeAdjusting::Final);
  const RunResult run = f.run();
  REQUIRE(run.adjustments.size() == 1);
  const PlanFigures& result = run.result;
  const auto task = make_top_k(1);
  SimulatedEvaluator evaluator(f.model, run.calibration, *f.data, *task,
                               {.gate = {.keep = f.options.keep}, .batch_size = 10});
  (void)evaluator.measure_baseline(Plan::uniform(5, k16));
  const auto again = evaluator.evaluate(run.plan);
  CHECK(again->damage == result.evaluation.damage);
  CHECK(again->score == result.evaluation.score);
  CHECK(run.status == RunStatus::Met);
  CHECK(result.evaluation.passed);
  if (run.adjustments[0].step_kept > 0) {
    CHECK(run.steps.back().plan == run.plan);
    CHECK_THAT(run.steps.back().decision, Contains("ranges adjusted to this plan"));
  }
}

TEST_CASE("a run that adjusts ranges can be stopped anywhere") {
  for (const RangeAdjusting adjusting : {RangeAdjusting::Search, RangeAdjusting::Both}) {
    const QuantizeFixture f = fixture(adjusting);
    std::set<std::string> stages;
    for (int limit = 0;; limit += 3) {
      REQUIRE(limit < 2000);
      CAPTURE(limit);
      int asked = 0;
      std::string stage;
      const RunResult run = f.run({.on_progress = [&](const Progress& p) { stage = p.stage; },
                                   .should_stop = [&] { return asked++ >= limit; }});
      if (run.status == RunStatus::Met) break;
      CHECK(run.status == RunStatus::Stopped);
      REQUIRE(run.plan.size() == run.sites.size());
      CHECK_NOTHROW(text_report(run));
      stages.insert(stage);
    }
    CHECK(stages.contains("adjust"));
  }
}

TEST_CASE("when to adjust is read and printed, and wrong options are named") {
  for (const char* word : {"none", "search", "final", "both"})
    CHECK(std::string(to_string(parse_range_adjusting(word))) == word);
  CHECK_THAT(failure([] { (void)parse_range_adjusting("often"); }).text, Contains("\"often\"") && Contains("final"));
  QuantizeFixture f = fixture(RangeAdjusting::Both);
  f.options.adjust.steps = 0;
  f.options.input_range.method = RangeMethod::Automatic;
  CHECK_THAT(failure([&] { (void)f.run(); }).text,
             Contains("adjust: steps is 0") && Contains("input_range: auto is for weights"));
}
