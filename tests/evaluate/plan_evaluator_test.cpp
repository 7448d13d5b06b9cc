#include "halftone/evaluate/plan_evaluator.hpp"

#include <memory>

#include "evaluations.hpp"
#include "failure.hpp"
#include "fake_engine.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/engine/deployed_evaluator.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"

using namespace halftone;

namespace {

const std::vector<Precision> kPrecisions{k16, k8, k4};
const Plan kBaseline = Plan::uniform(5, k16);
const Plan kMixed{{k8, k4, k16, k4, k8}};

struct Fixture {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = mostly_right(model, 30);
  Calibration calibration = calibrate(model, *data, kPrecisions);
  std::unique_ptr<Task> task = make_top_k(1);
  EvaluatorOptions options{.gate = {.keep = 0.9}, .batch_size = 8, .threads = 2};

  [[nodiscard]] std::unique_ptr<PlanEvaluator> evaluator(const Monitor& monitor = {}) const {
    return std::make_unique<PlanEvaluator>(simulate(model, calibration), *data, *task, options, monitor);
  }
};

}  // namespace

TEST_CASE("an evaluator that takes over a baseline gives the figures of one with its own") {
  const Fixture f;
  auto own = f.evaluator();
  REQUIRE(own->measure_baseline(kBaseline));
  PlanEvaluator other(simulate(f.model, f.calibration), *own);
  check_equal(other.baseline(), own->baseline());
  check_equal(other.float_score(), own->float_score());
  CHECK(other.forward_passes() == 0);
  const auto expected = own->evaluate(kMixed);
  own.reset();  // nothing is borrowed from it
  check_equal(*other.evaluate(kMixed), *expected);
  CHECK(other.forward_passes() == 1);
}

TEST_CASE("on some samples the figures are those of an evaluator that has no others") {
  Fixture f;
  f.options.early_stop = GENERATE(false, true);  // other samples come first
  const auto all = f.evaluator();
  REQUIRE(all->measure_baseline(kBaseline));
  const std::shared_ptr<const Dataset> some = spread_subset({std::shared_ptr<const void>(), f.data.get()}, 13);
  PlanEvaluator alone(simulate(f.model, f.calibration), *some, *f.task, f.options);
  REQUIRE(alone.measure_baseline(kBaseline));
  PlanEvaluator restricted(simulate(f.model, f.calibration), *all, 13);
  check_equal(restricted.baseline(), alone.baseline());
  check_equal(*restricted.evaluate(kMixed), *alone.evaluate_fully(kMixed));
  CHECK(restricted.samples_scored() == 13);
  check_equal(*PlanEvaluator(simulate(f.model, f.calibration), *all, 30).evaluate(kMixed),
              *all->evaluate_fully(kMixed));
}

TEST_CASE("the baseline's plan, run elsewhere, is compared with the baseline like any other") {
  const Fixture f;
  const auto engine = std::make_shared<fakes::FakeEngine>();
  engine->spoils = [](const Plan& plan) { return plan == kBaseline; };
  const auto task = make_top_k(3);  // zeros have a class among the first three now and then
  PlanEvaluator deployed(deploy(f.model, f.calibration, engine, f.options), *f.data, *task, f.options);
  REQUIRE(deployed.measure_baseline(kBaseline));
  REQUIRE(deployed.baseline().score > 0);
  const auto again = deployed.evaluate(kBaseline);
  CHECK(again->interval.low == 1);
  CHECK(again->interval.high == 1);
  const auto simulated = PlanEvaluator(simulate(f.model, f.calibration), deployed).evaluate(kBaseline);
  CHECK(simulated->score > again->score);
  CHECK(simulated->interval.high > simulated->score / again->score);
}

TEST_CASE("plans deployed are compared with the simulated baseline, and the other way round") {
  const Fixture f;
  const auto engine = std::make_shared<const fakes::FakeEngine>();
  const auto simulated = f.evaluator();
  PlanEvaluator deployed(deploy(f.model, f.calibration, engine, f.options), *f.data, *f.task, f.options);
  REQUIRE(simulated->measure_baseline(kBaseline));
  REQUIRE(deployed.measure_baseline(kBaseline));
  PlanEvaluator from_simulated(deploy(f.model, f.calibration, engine, f.options), *simulated);
  PlanEvaluator from_deployed(simulate(f.model, f.calibration), deployed);
  const auto expected = simulated->evaluate(kMixed);
  CHECK(from_simulated.evaluate(kMixed)->score == expected->score);
  CHECK(from_deployed.evaluate(kMixed)->score == expected->score);
  CHECK(from_deployed.evaluate(kMixed)->damage == Approx(expected->damage));
}

TEST_CASE("a baseline that was not measured cannot be taken over") {
  const Fixture f;
  const auto unmeasured = f.evaluator();
  const Failure refused = failure([&] { PlanEvaluator(simulate(f.model, f.calibration), *unmeasured); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK(refused.text == "comparing with an evaluator needs the baseline: call measure_baseline(plan) first");
}

TEST_CASE("a second baseline that is stopped half-way leaves the first one in place") {
  const Fixture f;
  int left = -1;  // calls until it stops; never where negative
  const auto evaluator = f.evaluator({.on_progress = {}, .should_stop = [&] {
                                        left -= left > 0 ? 1 : 0;
                                        return left == 0;
                                      }});
  REQUIRE(evaluator->measure_baseline(kBaseline));
  const auto expected = evaluator->evaluate(kMixed);
  left = 2;
  CHECK_FALSE(evaluator->measure_baseline(kMixed));
  left = -1;
  check_equal(*evaluator->evaluate(kMixed), *expected);
}

TEST_CASE("a request to stop reaches an evaluator that took over a baseline") {
  const Fixture f;
  bool stop = false;
  const auto own = f.evaluator({.on_progress = {}, .should_stop = [&] { return stop; }});
  REQUIRE(own->measure_baseline(kBaseline));
  PlanEvaluator other(simulate(f.model, f.calibration), *own);
  stop = true;
  CHECK_FALSE(other.evaluate(kMixed));
}
