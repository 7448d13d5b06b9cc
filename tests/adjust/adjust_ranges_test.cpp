#include "halftone/adjust/adjust_ranges.hpp"

#include <ATen/ATen.h>

#include <array>
#include <cmath>

#include "adjust/clean_batches.hpp"
#include "adjust/damage_gradient.hpp"
#include "adjust/range_parameters.hpp"
#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "squared_error.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using Catch::Contains;
using internal::CleanBatches;
using internal::DamageGradient;
using internal::RangeParameters;

namespace {

const std::vector<Precision> kPrecisions{k16, k8, k4};

class NoGradient final : public SquaredError {
 public:
  [[nodiscard]] std::string name() const override { return "opaque"; }

 private:
  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                     const std::vector<at::Tensor>& clean) const override {
    return (outputs[0].detach() - clean[0]).to(at::kDouble).square().flatten(1).sum(1);
  }
};

/// The gradient of a network's damage over all its data, and the damage itself.
struct Gradient {
  const Model& model;
  const Dataset& data;
  const Calibration& calibration;
  Plan plan;
  const Task& task;
  Interpreter interpreter{model};
  internal::Workplace place{model, interpreter, task, 2, {}};
  RangeParameters parameters{model, calibration, plan, true, true};

  [[nodiscard]] CleanBatches batches() const {
    std::vector<std::int64_t> all(static_cast<std::size_t>(data.size()));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
    CleanBatches made(data, all, 5);
    REQUIRE(made.record(place));
    return made;
  }
  [[nodiscard]] DamageGradient::Result at(const std::vector<double>& bounds) const {
    const CleanBatches made = batches();
    std::vector<std::size_t> chosen(made.size());
    for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i] = i;
    return *DamageGradient(place, calibration, plan, parameters).at(bounds, made, chosen);
  }
  [[nodiscard]] double damage(const std::vector<double>& bounds) const {
    return *internal::damage(place, batches(), parameters.apply(calibration, bounds), plan);
  }
};

/// dQ/dbound by the formula in docs/methods.md, for a quantizer from -low to high with z = round(-low / s).
struct Slope {
  double low = 0;
  double high = 0;
  double value = 0;
};
Slope slope(double x, double low, double high, int steps) {
  const double scale = (high - low) / steps;
  const double zero = std::nearbyint(-low / scale);
  const double integer = std::fmin(std::fmax(std::nearbyint(x / scale), -zero), steps - zero);
  const double inside = (std::nearbyint(x / scale) - x / scale) / steps;
  if (x > high) return {0, 1, integer * scale};
  if (x < low) return {1, 0, integer * scale};
  return {-inside, inside, integer * scale};
}

struct Fixture {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = tiny::images(48);
  Calibration calibration = calibrate(model, *data, kPrecisions);
  std::unique_ptr<Task> task = make_top_k(1);
  AdjustOptions options{.steps = 20, .learning_rate = 0.02, .step_samples = 16, .batch_size = 8, .threads = 2};

  [[nodiscard]] AdjustedRanges run(const Plan& plan, const Monitor& monitor = {}) const {
    return adjust_ranges(model, calibration, *data, *task, plan, options, monitor);
  }
  [[nodiscard]] AdjustedRanges run(Precision precision = k4) const {
    return run(Plan::uniform(model.sites.size(), precision));
  }
  /// Ranges three times as wide as calibrated.
  void spoil() {
    for (SiteRanges& site : calibration.sites) {
      for (auto& [bits, range] : site.input) range.low *= 3, range.high *= 3;
      for (auto& [bits, range] : site.weight)
        for (double& bound : range.bounds) bound *= 3;
    }
  }
};

}  // namespace

TEST_CASE("the gradient of damage in every bound is that of the formulas") {
  const at::Tensor weight = tiny::random({3, 7}, 10);
  const at::Tensor x = tiny::random({12, 7}, 11);
  const Model model = tiny::linear_net(weight);
  const auto data = make_tensor_dataset("x", {x}, {});
  const Calibration calibration{{{.input_min = -1,
                                  .input_max = 1,
                                  .weight_max = 1,
                                  .input = {{4, {.low = -0.71, .high = 0.83}}},
                                  .weight = {{4, {.bounds = {0.9, 0.77, 0.61}}}}}}};
  const SquaredError task;
  const Gradient gradient{model, *data, calibration, Plan::uniform(1, k4), task};
  const std::vector<double> bounds{0.71, 0.83, 0.9, 0.77, 0.61};
  REQUIRE(gradient.parameters.start() == bounds);
  const DamageGradient::Result result = gradient.at(bounds);

  std::array<double, 5> expected{};
  double damage = 0;
  for (int n = 0; n < 12; ++n)
    for (int o = 0; o < 3; ++o) {
      double error = 0;
      for (int k = 0; k < 7; ++k) {
        const double bound = bounds[static_cast<std::size_t>(2 + o)];
        error += slope(x[n][k].item<float>(), -bounds[0], bounds[1], 15).value *
                     slope(weight[o][k].item<float>(), -bound, bound, 14).value -
                 static_cast<double>(x[n][k].item<float>()) * static_cast<double>(weight[o][k].item<float>());
      }
      damage += error * error / 12;
      for (int k = 0; k < 7; ++k) {
        const auto row = static_cast<std::size_t>(2 + o);
        const Slope of_x = slope(x[n][k].item<float>(), -bounds[0], bounds[1], 15);
        const Slope of_w = slope(weight[o][k].item<float>(), -bounds[row], bounds[row], 14);
        expected[0] -= 2 * error / 12 * of_x.low * of_w.value;  // bounds[0] is -low
        expected[1] += 2 * error / 12 * of_x.high * of_w.value;
        expected[row] += 2 * error / 12 * of_x.value * (of_w.high - of_w.low);
      }
    }
  CHECK(result.damage == Approx(damage).epsilon(1e-5));
  for (std::size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    CHECK(result.gradient[i] == Approx(expected[i]).epsilon(1e-4).margin(1e-5));
  }
}

TEST_CASE("where every value is clipped the gradient is that of finite differences") {
  const Model model = tiny::linear_net(tiny::random({3, 7}, 12).sign() * 2);
  const auto data = make_tensor_dataset("x", {tiny::random({10, 7}, 13).abs() + 1}, {});
  const Calibration calibration{{{.input_min = 1,
                                  .input_max = 2,
                                  .weight_max = 2,
                                  .input = {{8, {.low = 0, .high = 0.7}}},
                                  .weight = {{8, {.bounds = {0.9, 0.8, 0.6}}}}}}};
  const SquaredError task;
  const Gradient gradient{model, *data, calibration, Plan::uniform(1, k8), task};
  const std::vector<double> bounds = gradient.parameters.start();
  const std::vector<double> slopes = gradient.at(bounds).gradient;
  CHECK(slopes[0] == 0);
  for (std::size_t i = 1; i < bounds.size(); ++i) {
    CAPTURE(i);
    auto more = bounds;
    auto less = bounds;
    more[i] += 1e-3;
    less[i] -= 1e-3;
    CHECK(slopes[i] == Approx((gradient.damage(more) - gradient.damage(less)) / 2e-3).epsilon(1e-3));
  }
}

TEST_CASE("steps that are far too large change nothing: the start does better on the samples held out") {
  Fixture f;
  f.options.learning_rate = 1e6;
  const AdjustedRanges result = f.run(k8);
  CHECK(result.calibration == f.calibration);
  CHECK(result.record.step_kept == 0);
  CHECK(result.record.steps == 20);
  CHECK(result.record.damage_after == result.record.damage_before);
}

TEST_CASE("bad ranges get better, also on samples that were not seen") {
  Fixture f;
  f.spoil();
  f.options.steps = 60;
  f.options.learning_rate = 0.05;
  const AdjustedRanges result = f.run();
  CHECK(result.record.step_kept > 0);
  CHECK(result.record.damage_after < 0.5 * result.record.damage_before);
  CHECK(result.record.held_out == 24);
  CHECK(result.record.trained_on == 24);
  CHECK(result.record.bounds == 2 * 4 + 4 + 4 + 4 + 3 + 5);  // two sites share an input
  CHECK(result.record.backward_passes > 0);

  const auto unseen = tiny::images(48, 200);
  const auto damage_on_unseen = [&](const Calibration& calibration) {
    SimulatedEvaluator evaluator(f.model, calibration, *unseen, *f.task);
    (void)evaluator.measure_baseline(Plan::uniform(5, k16));
    return evaluator.evaluate(Plan::uniform(5, k4))->damage;
  };
  CHECK(damage_on_unseen(result.calibration) < 0.7 * damage_on_unseen(f.calibration));
}

TEST_CASE("the damage of the ranges returned is what evaluation finds on the samples held out") {
  Fixture f;
  f.spoil();
  f.options.held_out = 0.75;
  const AdjustedRanges result = f.run();
  REQUIRE(result.record.step_kept > 0);
  CHECK(result.record.held_out == 36);
  std::mt19937_64 random(f.options.seed);
  auto order = internal::shuffled(48, random);
  order.resize(36);
  const auto part = make_subset(std::shared_ptr<const Dataset>(tiny::images(48)), order, "held out");
  SimulatedEvaluator evaluator(f.model, result.calibration, *part, *f.task);
  (void)evaluator.measure_baseline(Plan::uniform(5, k16));
  CHECK(evaluator.evaluate(Plan::uniform(5, k4))->damage == Approx(result.record.damage_after).epsilon(1e-6));
}

TEST_CASE("sites that read one tensor keep equal ranges, and ranges that begin at 0 stay so") {
  Fixture f;
  f.spoil();
  for (const Plan& plan : {Plan::uniform(5, k4), Plan{{k4, k8, k4, k4, k4}}}) {
    const AdjustedRanges result = f.run(plan);
    REQUIRE(result.record.step_kept > 0);
    const auto& sites = result.calibration.sites;
    CHECK((sites[1].input == sites[2].input));
    CHECK((sites[1].input != f.calibration.sites[1].input));
    for (const std::size_t site : {1, 2, 3}) {
      const double low = sites[site].input.at(4).low;
      CHECK(low == 0);
      CHECK_FALSE(std::signbit(low));
    }
    CHECK(sites[0].input.at(4).low < 0);
  }
}

TEST_CASE("a plan of several widths moves the ranges it uses and no others") {
  Fixture f;
  f.spoil();
  const Plan plan{{k8, k4, k16, kW4A8, k16}};
  const AdjustedRanges result = f.run(plan);
  REQUIRE(result.record.step_kept > 0);
  const auto& sites = result.calibration.sites;
  const auto& start = f.calibration.sites;
  for (std::size_t i = 0; i < 5; ++i)
    for (const int bits : {4, 8}) {
      CAPTURE(i, bits);
      const bool reads = plan[i].activation_bits == bits || (i == 2 && bits == 4);  // 2 reads what 1 reads
      CHECK((sites[i].input.at(bits) != start[i].input.at(bits)) == reads);
      CHECK((sites[i].weight.at(bits) != start[i].weight.at(bits)) == (plan[i].weight_bits == bits));
    }
}

TEST_CASE("operands can be held fixed") {
  Fixture f;
  f.spoil();
  f.options.weights = false;
  const AdjustedRanges inputs = f.run();
  REQUIRE(inputs.record.step_kept > 0);
  CHECK(inputs.record.bounds == 8);
  for (std::size_t i = 0; i < 5; ++i) CHECK((inputs.calibration.sites[i].weight == f.calibration.sites[i].weight));
  f.options.weights = true;
  f.options.inputs = false;
  const AdjustedRanges weights = f.run();
  REQUIRE(weights.record.step_kept > 0);
  for (std::size_t i = 0; i < 5; ++i) CHECK((weights.calibration.sites[i].input == f.calibration.sites[i].input));
}

TEST_CASE("errors of ranges that moved are known again") {
  Fixture f;
  f.spoil();
  const AdjustedRanges result = f.run();
  REQUIRE(result.record.step_kept > 0);
  for (std::size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    const SiteRanges& site = result.calibration.sites[i];
    const at::Tensor weight = f.model.tensors[static_cast<std::size_t>(f.model.sites[i].weight)];
    const at::Tensor error = quantize_weight(f.model.sites[i], site, 4, weight) - weight;
    CHECK(site.weight.at(4).mean_squared_error == Approx(error.square().mean().item<double>()));
    CHECK(site.input.at(4).mean_squared_error > 0);
  }
  const at::Tensor x = f.data->range(0, 48).inputs[0];
  const at::Tensor error = quantize_input(f.model.sites[0], result.calibration.sites[0], 4, x) - x;
  CHECK(result.calibration.sites[0].input.at(4).mean_squared_error ==
        Approx(error.square().mean().item<double>()).epsilon(1e-5));
}

TEST_CASE("adjusted ranges depend on the seed, and not on the number of threads") {
  Fixture f;
  f.spoil();
  f.options.threads = 1;
  const AdjustedRanges one = f.run();
  REQUIRE(one.record.step_kept > 0);
  f.options.threads = 3;
  const AdjustedRanges three = f.run();
  CHECK(three.calibration == one.calibration);
  CHECK(three.record.damage_after == one.record.damage_after);
  f.options.seed = 1;
  CHECK(f.run().calibration != one.calibration);
}

TEST_CASE("a stop keeps the best so far") {
  Fixture f;
  f.spoil();
  std::int64_t steps = 0;
  const auto stop_at = [&](std::int64_t limit) {
    return f.run(Plan::uniform(5, k4), {.on_progress =
                                            [&](const Progress& p) {
                                              CHECK(p.stage == "adjust");
                                              CHECK(p.total == 20);
                                              steps = p.done;
                                            },
                                        .should_stop = [&, limit] { return steps >= limit; }});
  };
  const AdjustedRanges late = stop_at(12);
  CHECK(late.record.stopped);
  CHECK(late.record.steps == 12);
  CHECK(late.record.step_kept > 0);
  CHECK(late.record.damage_after < late.record.damage_before);
  CHECK(late.calibration != f.calibration);
  const AdjustedRanges early = stop_at(0);
  CHECK(early.record.stopped);
  CHECK(early.calibration == f.calibration);
  CHECK_FALSE(stop_at(21).record.stopped);
}

TEST_CASE("a plan without integers has nothing to adjust") {
  const Fixture f;
  const AdjustedRanges result = f.run(k16);
  CHECK(result.calibration == f.calibration);
  CHECK(result.record.bounds == 0);
  CHECK(result.record.forward_passes == 0);
}

TEST_CASE("channels of zeros stay as they are") {
  Fixture f;
  f.spoil();
  f.model.tensors[static_cast<std::size_t>(f.model.sites[3].weight)][1].zero_();
  f.calibration = with_weight_ranges(f.model, f.calibration, {.method = RangeMethod::Max});
  const AdjustedRanges result = f.run();
  REQUIRE(result.record.step_kept > 0);
  CHECK(result.calibration.sites[3].weight.at(4).bounds[1] == 0);
}

TEST_CASE("what has no gradient is refused by name") {
  Fixture f;
  f.task = std::make_unique<NoGradient>();
  const Failure task = failure([&] { (void)f.run(); });
  CHECK(task.code == Errc::Unsupported);
  CHECK_THAT(task.text, Contains("task opaque") && Contains("no gradient"));

  tiny::Builder build;
  const auto x = build.input("input", {6});
  const auto y = build.linear(x, build.parameter("fc.weight", tiny::random({4, 6}, 3)));
  const Model cut = build.finish(build.node("aten::detach", "", build.shape_of(y), {tiny::Builder::ref(y)}));
  const auto data = make_tensor_dataset("x", {tiny::random({8, 6}, 4)}, {});
  const Precision precisions[] = {k4};
  const Calibration calibration = calibrate(cut, *data, precisions);
  const Failure network =
      failure([&] { (void)adjust_ranges(cut, calibration, *data, *make_top_k(1), Plan::uniform(1, k4), f.options); });
  CHECK(network.code == Errc::Unsupported);
  CHECK_THAT(network.text, Contains("the network's outputs have no gradient"));
}

TEST_CASE("too few samples, missing ranges and wrong options are refused") {
  Fixture f;
  f.data = tiny::images(1);
  const Failure few = failure([&] { (void)f.run(); });
  CHECK(few.code == Errc::InvalidArgument);
  CHECK_THAT(few.text, Contains("tiny holds 1 samples"));
  CHECK_THAT(failure([&] { (void)f.run({5, 5}); }).text, Contains("no input range at 5 bits"));
  f.options = {.steps = 0,
               .learning_rate = -1,
               .step_samples = 0,
               .steps_per_check = 0,
               .held_out = 1,
               .batch_size = 0,
               .threads = 0};
  const Failure wrong = failure([&] { (void)f.run(); });
  for (const char* name : {"steps is 0", "learning_rate is -1", "step_samples is 0", "steps_per_check is 0",
                           "held_out is 1", "batch_size is 0", "threads is 0"})
    CHECK_THAT(wrong.text, Contains(name));
}
