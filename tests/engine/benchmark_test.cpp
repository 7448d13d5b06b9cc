#include "halftone/engine/benchmark.hpp"

#include <ATen/ATen.h>

#include "export/battery.hpp"
#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/engine/deployed_evaluator.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/graph/passes.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

/// An engine that counts and gives zeros: what is said of all engines holds for it.
struct Calls {
  std::vector<std::string> compiled;
  int runs = 0;
  int repeats = 0;
  int integers = 0;  ///< how often it was asked for them
};

class CountingNetwork final : public CompiledNetwork {
 public:
  CountingNetwork(const Model& model, std::int64_t batch, Calls& calls)
      : CompiledNetwork(model, batch), batch_(batch), calls_(calls) {}
  void repeat() override { ++calls_.repeats; }
  [[nodiscard]] std::vector<EngineNode> profile() override { return {}; }

 private:
  [[nodiscard]] std::vector<at::Tensor> do_run(std::span<const at::Tensor>) override {
    ++calls_.runs;
    return {at::zeros({batch_, 5})};
  }
  std::int64_t batch_;
  Calls& calls_;
};

class CountingEngine final : public Engine {
 public:
  explicit CountingEngine(Calls& calls) : calls_(calls) {}
  [[nodiscard]] std::string name() const override { return "counting"; }
  [[nodiscard]] std::string version() const override { return "1"; }
  void require(FloatType) const override {}
  void require_integers() const override { ++calls_.integers; }

 private:
  [[nodiscard]] std::unique_ptr<CompiledNetwork> do_compile(const Model& model, const Plan& plan, const Calibration&,
                                                            const CompileOptions& options) const override {
    calls_.compiled.push_back(message(to_string(plan), ' ', to_string(options.float_type), ' ', options.batch));
    return std::make_unique<CountingNetwork>(model, options.batch, calls_);
  }
  Calls& calls_;
};

}  // namespace

TEST_CASE("random inputs have the network's shapes and types, and are the same for one seed") {
  const Model model = tiny::residual_net();
  const auto inputs = random_inputs(model, 3, 7);
  REQUIRE(inputs.size() == 1);
  CHECK(inputs[0].sizes() == at::IntArrayRef({3, 2, 6, 6}));
  CHECK(inputs[0].scalar_type() == at::kFloat);
  CHECK(at::equal(inputs[0], random_inputs(model, 3, 7)[0]));
  CHECK_FALSE(at::equal(inputs[0], random_inputs(model, 3, 8)[0]));
  const at::Tensor tokens = at::ones({battery::kCalibrated, 5}, at::kLong);
  const auto reader = battery::network_on("tokens", {tokens}, [](const battery::Tensors& x, const battery::Weights& w) {
    return battery::Tensors{at::linear(at::embedding(w("words", {2, 4}), x[0]), w("fc.weight", {3, 4}))};
  });
  const auto ids = random_inputs(reader.model, 8)[0];
  CHECK(ids.sizes() == at::IntArrayRef({8, 5}));
  CHECK(ids.scalar_type() == at::kLong);
  CHECK(ids.min().item<int>() == 0);
  CHECK(ids.max().item<int>() == 1);  // the table has two rows
  CHECK(at::equal(ids, random_inputs(reader.model, 8)[0]));
}

TEST_CASE("random ranges hold every width asked for") {
  const Model model = tiny::residual_net();
  const Precision precisions[] = {k8, kW4A8};
  const Calibration calibration = random_calibration(model, precisions);
  require_ranges(model, calibration, Plan{{k8, kW4A8, k16, k8, kW4A8}});
  CHECK(calibration == random_calibration(model, precisions));
}

TEST_CASE("every variant is compiled once, run once, and timed by repeating") {
  const Model model = tiny::residual_net();
  const Precision eight[] = {k8};
  Calls calls;
  const std::vector<Variant> variants{{"float", Plan::uniform(5, k16), FloatType::Float32},
                                      {"bf16", Plan::uniform(5, k16)}};
  MeasureOptions quick{.relative_error = 1e9, .block_seconds = 1e-9, .warmup = 1, .min_rounds = 6};
  std::vector<std::string> stages;
  Monitor monitor;
  monitor.on_progress = [&](const Progress& progress) { stages.emplace_back(progress.detail); };
  const Measurement measured = benchmark(CountingEngine(calls), model, random_calibration(model, eight), variants,
                                         {.batch = 2, .measure = quick}, monitor);
  CHECK(measured.timings.size() == 2);
  CHECK(calls.compiled == std::vector<std::string>{"16 16 16 16 16 f32 2", "16 16 16 16 16 bf16 2"});
  CHECK(calls.runs == 2);
  CHECK(calls.repeats == 2 * (1 + 6));
  REQUIRE(stages.size() == 2 + 2 * (1 + 6));  // compiling, warm-up and turns
  CHECK(stages[1] == "bf16");
}

TEST_CASE("a benchmark that is stopped while it compiles has no timings") {
  const Model model = tiny::residual_net();
  const Precision eight[] = {k8};
  Calls calls;
  const std::vector<Variant> variants(3, {"bf16", Plan::uniform(5, k16)});
  const Monitor monitor{.on_progress = {}, .should_stop = [&] { return calls.compiled.size() == 2; }};
  CHECK(
      benchmark(CountingEngine(calls), model, random_calibration(model, eight), variants, {}, monitor).timings.empty());
  CHECK(calls.compiled.size() == 2);
  CHECK(calls.repeats == 0);
}

TEST_CASE("wrong benchmark options are all named, before anything is compiled") {
  CHECK(validate(BenchmarkOptions{}).empty());
  const BenchmarkOptions wrong{.batch = -1, .threads = 0, .measure = {.warmup = -1}};
  CHECK(validate(wrong) == std::vector<std::string>{"batch is -1: at least 1 is needed",
                                                    "threads is 0: at least 1 is needed",
                                                    "warmup is -1: at least 0 is needed"});
  Calls calls;
  const Model model = tiny::residual_net();
  const auto refused = failure([&] { (void)benchmark(CountingEngine(calls), model, {}, {}, wrong); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Catch::Contains("batch is -1"));
}

TEST_CASE("an engine is asked for integers where a plan has some") {
  const Model model = tiny::residual_net();
  const Precision eight[] = {k8};
  const Calibration calibration = random_calibration(model, eight);
  Calls calls;
  (void)CountingEngine(calls).compile(model, Plan::uniform(5, k16), calibration);
  CHECK(calls.integers == 0);
  (void)CountingEngine(calls).compile(model, Plan{{k16, k16, k8, k16, k16}}, calibration);
  CHECK(calls.integers == 1);
}

TEST_CASE("a network captured at one size is compiled for that alone") {
  const at::Tensor weight = tiny::random({5, 4}, 1);
  const Model model =
      prepare(capture([&](const battery::Tensors& x) { return battery::Tensors{at::linear(x[0], weight)}; },
                      {{"fc.weight", weight}}, {tiny::random({2, 4}, 2)}, {.dynamic_batch = false}));
  Calls calls;
  const auto compile = [&](std::int64_t batch) {
    (void)CountingEngine(calls).compile(model, Plan::uniform(1, k16), {{{}}}, {.batch = batch});
  };
  const auto refused = failure([&] { compile(8); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Catch::Contains("a batch of 8 was asked for") && Catch::Contains("inputs of [2, 4] alone"));
  compile(2);
  compile(1);
  CHECK(calls.compiled.size() == 2);
}

TEST_CASE("networks run deployed get the scores of the simulation, up to what bfloat16 rounds") {
  if (!has_openvino()) {
    WARN("built without OpenVINO: nothing runs deployed");
    return;
  }
  const Model model = tiny::residual_net();
  const auto data = tiny::images(40);
  const Precision eight[] = {k8};
  const Calibration calibration = calibrate(model, *data, eight);
  const auto task = make_top_k(1);
  const EvaluatorOptions options{.batch_size = 16, .threads = 2};  // the last batch is half full
  SimulatedEvaluator simulated(model, calibration, *data, *task, options);
  PlanEvaluator deployed(deploy(model, calibration, make_openvino_engine(), options), *data, *task, options);
  const Plan baseline = Plan::uniform(5, k16);
  REQUIRE(simulated.measure_baseline(baseline));
  REQUIRE(deployed.measure_baseline(baseline));
  CHECK(deployed.float_score().score_count == simulated.float_score().score_count);
  CHECK(deployed.float_score().damage == 0);
  CHECK(std::abs(deployed.baseline().score_count - simulated.baseline().score_count) <= 1);
  CHECK(deployed.baseline().damage > 0);
  const auto here = simulated.evaluate(Plan::uniform(5, k8));
  const auto there = deployed.evaluate(Plan::uniform(5, k8));
  REQUIRE((here && there));
  CHECK(std::abs(there->score_count - here->score_count) <= 1);
  CHECK(there->damage == Approx(here->damage).epsilon(0.5));
  const auto again = deployed.evaluate(Plan::uniform(5, k8));
  CHECK(again->score_count == there->score_count);
  CHECK(again->damage == there->damage);
}
