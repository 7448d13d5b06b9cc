#include "halftone/evaluate/simulated_evaluator.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <vector>

#include "evaluations.hpp"
#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

const std::vector<Precision> kPrecisions{k16, k8, k4, {2, 2}};
const Plan kBaseline = Plan::uniform(5, k16);
const Plan kLow = Plan::uniform(5, {2, 2});

struct Fixture {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = mostly_right(model, 50);
  Calibration calibration = calibrate(model, *data, kPrecisions);
  std::unique_ptr<Task> task = make_top_k(1);

  [[nodiscard]] SimulatedEvaluator evaluator(const EvaluatorOptions& options = {}, const Monitor& monitor = {}) const {
    return {model, calibration, *data, *task, options, monitor};
  }
  [[nodiscard]] at::Tensor outputs(const Plan& plan) const {
    QuantizedVisitor visitor(model, calibration, plan);
    return Interpreter(model).run(data->range(0, data->size()).inputs, &visitor)[0];
  }
  [[nodiscard]] at::Tensor clean() const { return Interpreter(model).run(data->range(0, data->size()).inputs)[0]; }
};

}  // namespace

TEST_CASE("score, damage and interval are those of the outputs, sample by sample") {
  const Fixture f;
  SimulatedEvaluator evaluator = f.evaluator({.gate = {.keep = 0.9}, .batch_size = 50});
  const auto baseline = evaluator.measure_baseline(kBaseline);
  REQUIRE(baseline);
  const auto low = evaluator.evaluate(kLow);
  REQUIRE(low);

  const at::Tensor targets = f.data->targets();
  const at::Tensor before = f.task->score({f.outputs(kBaseline)}, targets);
  const at::Tensor after = f.task->score({f.outputs(kLow)}, targets);
  CHECK(evaluator.float_score().score_count == f.task->score({f.clean()}, targets).sum().item<double>());
  CHECK(evaluator.float_score().damage == 0);
  CHECK(baseline->score_count == before.sum().item<double>());
  CHECK(baseline->samples == 50);
  CHECK(low->score_count == after.sum().item<double>());
  CHECK(low->score == low->score_count / 50);
  CHECK(low->damage == Approx(f.task->damage({f.outputs(kLow)}, {f.clean()}).mean().item<double>()).epsilon(1e-12));
  CHECK(low->damage > baseline->damage);

  const at::Tensor difference = after - before;
  const double error = difference.std(0, /*unbiased=*/true).item<double>() / std::sqrt(50.0);
  const double mean = difference.mean().item<double>();
  CHECK(low->interval.low == Approx(1 + (mean - 1.96 * error) / baseline->score));
  CHECK(low->interval.high == Approx(1 + (mean + 1.96 * error) / baseline->score));
  CHECK(low->interval.low < low->interval.high);
  CHECK(low->passed == (low->score >= 0.9 * baseline->score));
  CHECK_FALSE(low->passed);
  CHECK(low->plan_digest == Digest().add("2 2 2 2 2").hex());
}

TEST_CASE("the baseline keeps all of itself") {
  const Fixture f;
  SimulatedEvaluator evaluator = f.evaluator({.gate = {.keep = 1}});
  const auto baseline = evaluator.measure_baseline(kBaseline);
  REQUIRE(baseline);
  CHECK(baseline->passed);
  CHECK(baseline->interval.low == 1);
  CHECK(baseline->interval.high == 1);
  const auto again = evaluator.evaluate(kBaseline);
  REQUIRE(again);
  check_equal(*again, *baseline);
  check_equal(evaluator.baseline(), *baseline);
  CHECK(evaluator.forward_passes() == 3);
}

TEST_CASE("figures are the same for any number of threads, scores for any batch size") {
  const Fixture f;
  SimulatedEvaluator one = f.evaluator({.batch_size = 4});
  REQUIRE(one.measure_baseline(kBaseline));
  const auto expected = one.evaluate(kLow);
  for (const int threads : {2, 3}) {
    SimulatedEvaluator more = f.evaluator({.batch_size = 4, .threads = threads});
    check_equal(*more.measure_baseline(kBaseline), one.baseline());
    check_equal(more.float_score(), one.float_score());
    check_equal(*more.evaluate(kLow), *expected);
  }
  for (const std::int64_t batch_size : {1, 7, 64}) {
    SimulatedEvaluator other = f.evaluator({.batch_size = batch_size, .threads = 2});
    REQUIRE(other.measure_baseline(kBaseline));
    const auto got = other.evaluate(kLow);
    CHECK(got->score == expected->score);
    CHECK(got->interval.low == expected->interval.low);
    CHECK(got->damage == Approx(expected->damage).epsilon(1e-3));
  }
}

TEST_CASE("plans are evaluated independently of those before them") {
  const Fixture f;
  SimulatedEvaluator first = f.evaluator();
  SimulatedEvaluator second = f.evaluator();
  REQUIRE(first.measure_baseline(kBaseline));
  REQUIRE(second.measure_baseline(kBaseline));
  const Plan mixed{{k8, k4, k16, kW4A8, k8}};
  const auto direct = first.evaluate(mixed);
  for (const Plan& plan : {kLow, Plan::uniform(5, k4), Plan::uniform(5, k8)}) REQUIRE(second.evaluate(plan));
  check_equal(*second.evaluate(mixed), *direct);
}

TEST_CASE("a baseline that scores nothing has no ratio to keep") {
  const Fixture f;
  const at::Tensor wrong = (f.outputs(kBaseline).argmax(1) + 1) % 5;
  const auto data = make_tensor_dataset("wrong", f.data->range(0, 50).inputs, wrong);
  SimulatedEvaluator evaluator(f.model, f.calibration, *data, *f.task);
  const auto baseline = evaluator.measure_baseline(kBaseline);
  REQUIRE(baseline);
  CHECK(baseline->score == 0);
  CHECK(baseline->interval.low == 0);
  CHECK(baseline->interval.high == 0);
}

TEST_CASE("evaluation before the baseline is refused") {
  const Fixture f;
  SimulatedEvaluator evaluator = f.evaluator();
  const auto early = failure([&] { (void)evaluator.evaluate(kLow); });
  CHECK(early.code == Errc::InvalidArgument);
  CHECK(early.text == "evaluate needs the baseline: call measure_baseline(plan) first");
  CHECK(failure([&] { (void)evaluator.baseline(); }).code == Errc::InvalidArgument);
  CHECK(failure([&] { (void)evaluator.float_score(); }).code == Errc::InvalidArgument);
}

TEST_CASE("plans and data that do not fit are refused before any work") {
  const Fixture f;
  SimulatedEvaluator evaluator = f.evaluator();
  CHECK(failure([&] {
          (void)evaluator.measure_baseline(Plan::uniform(5, {8, 7}));
        }).text == "site \"stem\" has no input range at 7 bits: calibrate with this width among the precisions");
  REQUIRE(evaluator.measure_baseline(kBaseline));
  CHECK(failure([&] {
          (void)evaluator.evaluate(Plan::uniform(5, {3, 8}));
        }).text == "site \"stem\" has no weight range at 3 bits: calibrate with this width among the precisions");
  CHECK(failure([&] { (void)evaluator.evaluate(Plan::uniform(3, k8)); }).code == Errc::InvalidArgument);

  const auto data = make_tensor_dataset("cifar10:x.bin", f.data->range(0, 50).inputs, at::arange(50, at::kLong) % 10);
  SimulatedEvaluator misfit(f.model, f.calibration, *data, *f.task);
  CHECK(
      failure([&] { (void)misfit.measure_baseline(kBaseline); }).text ==
      "target 5 of sample 5 in cifar10:x.bin does not fit the network's 5 outputs: targets are class numbers from 0 to "
      "4");
  CHECK(misfit.forward_passes() == 0);

  const auto empty = failure([&] { SimulatedEvaluator(f.model, f.calibration, tiny::NoSamples(), *f.task); });
  CHECK(empty.text == "evaluate: nothing holds no samples to score");
  const auto options = failure([&] { (void)f.evaluator({.gate = {.keep = 1.5}, .batch_size = 0, .threads = 0}); });
  for (const auto* const word : {"gate.keep is 1.5", "batch_size is 0", "threads is 0"})
    CHECK(options.text.find(word) != std::string::npos);
}

TEST_CASE("network outputs that are not finite are refused by sample and data") {
  Fixture f;
  at::Tensor inputs = f.data->range(0, 50).inputs[0].clone();
  inputs[37][0][0][0] = std::numeric_limits<float>::quiet_NaN();
  const auto data = make_tensor_dataset("bad", {inputs}, f.data->targets());
  for (const int threads : {1, 2}) {
    SimulatedEvaluator evaluator(f.model, f.calibration, *data, *f.task, {.batch_size = 8, .threads = threads});
    const auto nan = failure([&] { (void)evaluator.measure_baseline(kBaseline); });
    CHECK(nan.code == Errc::NonFinite);
    CHECK(nan.text.starts_with("output 0 of the float network is NaN or infinite for sample 37 of bad: "));
  }
}

TEST_CASE("a stopped evaluation gives nothing and can be taken up again") {
  const Fixture f;
  bool stop = true;
  std::vector<std::string> details;
  Monitor monitor;
  monitor.should_stop = [&] { return stop; };
  monitor.on_progress = [&](const Progress& progress) { details.emplace_back(progress.detail); };
  SimulatedEvaluator evaluator = f.evaluator({.batch_size = 10, .threads = 2}, monitor);
  CHECK_FALSE(evaluator.measure_baseline(kBaseline));
  CHECK(failure([&] { (void)evaluator.baseline(); }).code == Errc::InvalidArgument);
  stop = false;
  REQUIRE(evaluator.measure_baseline(kBaseline));
  CHECK(details.back() == "baseline: 5 sites at 16");
  stop = true;
  CHECK_FALSE(evaluator.evaluate(kLow));
  stop = false;
  REQUIRE(evaluator.evaluate(Plan{{k8, k8, k4, k8, k16}}));
  CHECK(details.back() == "plan 2: 1 sites at 16, 3 at 8, 1 at 4");
}
