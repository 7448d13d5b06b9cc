#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <thread>

#include "evaluate/visiting_order.hpp"
#include "evaluations.hpp"
#include "failure.hpp"
#include "fake_engine.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/engine/deployed_evaluator.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "squared_error.hpp"

using namespace halftone;

namespace {

constexpr std::int64_t kSamples = 43;
constexpr std::int64_t kClasses = 4;

/// Logits by sample under `plan`: those of the float network with noise of any size, larger for fewer bits.
at::Tensor logits_under(const Plan* plan) {
  const at::Tensor clean = tiny::random({kSamples, kClasses}, 70) * 3;
  if (plan == nullptr) return clean;
  double size = 0.02;
  std::uint32_t seed = 71;
  for (const Precision precision : plan->precisions) {
    size += precision.weight_bits == 16 ? 0 : 0.5 / precision.weight_bits;
    seed = seed * 31 + static_cast<std::uint32_t>(precision.weight_bits);
  }
  return clean + size * tiny::random({kSamples, kClasses}, seed);
}

/// Gives logits drawn beforehand; a sample's input is its number. The first batch takes long, so that other threads
/// run ahead.
class Drawn final : public PlanRunner {
 public:
  [[nodiscard]] std::string name() const override { return "drawn"; }
  NetworkFn prepare(const Plan* plan) override {
    auto first = std::make_shared<std::atomic<bool>>(true);
    return [logits = logits_under(plan), first](std::span<const at::Tensor> inputs) {
      if (first->exchange(false)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return std::vector<at::Tensor>{logits.index_select(0, inputs[0].to(at::kLong))};
    };
  }
};

std::unique_ptr<Dataset> numbers() {
  at::Tensor targets = logits_under(nullptr).argmax(1);
  for (std::int64_t i = 0; i < kSamples; i += 6) targets[i] = (targets[i] + 1) % kClasses;
  return make_tensor_dataset("numbers", {at::arange(kSamples, at::kFloat)}, targets);
}

/// Of a user: the probability of the target, with a limit or none, visited as the samples lie.
class Probability final : public Task {
 public:
  explicit Probability(bool is_bounded) : is_bounded_(is_bounded) {}
  [[nodiscard]] std::string name() const override { return "probability"; }

 private:
  void do_check(const std::vector<at::Tensor>&, const Dataset&) const override {}
  [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>& outputs, const at::Tensor& targets) const override {
    return outputs[0].to(at::kDouble).softmax(1).gather(1, targets.unsqueeze(1)).squeeze(1);
  }
  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                     const std::vector<at::Tensor>& clean) const override {
    return (outputs[0] - clean[0]).to(at::kDouble).square().sum(1);
  }
  [[nodiscard]] std::optional<ScoreRange> do_score_range() const override {
    return is_bounded_ ? std::optional(ScoreRange{0, 1}) : std::nullopt;
  }
  bool is_bounded_;
};

std::vector<Plan> some_plans() {
  std::vector<Plan> plans{Plan::uniform(3, k16)};
  std::mt19937_64 random(72);
  for (int k = 0; k < 7; ++k) {
    Plan plan = Plan::uniform(3, k16);
    for (Precision& precision : plan.precisions)
      if (random() % 2 == 0) precision = {static_cast<int>(2 + random() % 7), 8};
    plans.push_back(plan);
  }
  return plans;
}

std::vector<Gate> some_gates() {
  std::vector<Gate> gates;
  for (const double keep : {0.85, 0.99}) {
    gates.push_back({.keep = keep});
    gates.push_back({.keep = keep, .kind = GateKind::Confidence});
  }
  for (const double budget : {0.003, 0.3}) gates.push_back({.kind = GateKind::Damage, .budget = budget});
  return gates;
}

/// Every plan under one gate, on any number of threads, with early stop and without.
struct Counts {
  int early = 0;
  int complete = 0;
};

void compare_with_full(const Task& task, const Gate& gate, Counts& counts) {
  const auto data = numbers();
  const Plan baseline = Plan::uniform(3, k16);
  PlanEvaluator full(std::make_unique<Drawn>(), *data, task, {.gate = gate, .batch_size = 4});
  REQUIRE(full.measure_baseline(baseline));
  std::vector<std::unique_ptr<PlanEvaluator>> early;
  for (const int threads : {1, 2, 3}) {
    const EvaluatorOptions options{.gate = gate, .batch_size = 4, .threads = threads, .early_stop = true};
    early.push_back(std::make_unique<PlanEvaluator>(std::make_unique<Drawn>(), *data, task, options));
    check_equal(*early.back()->measure_baseline(baseline), full.baseline());
  }
  for (const Plan& plan : some_plans()) {
    const auto expected = full.evaluate(plan);
    const auto one = early[0]->evaluate(plan);
    CAPTURE(task.name(), to_string(gate), to_string(plan), one->unscored);
    CHECK(one->passed == expected->passed);
    CHECK(one->passed == gate.passes(*one, full.baseline()));
    if (one->ended_early()) {
      CHECK_FALSE(one->passed);
      CHECK((one->samples - one->unscored) % 4 == 0);
    } else {
      check_equal(*one, *expected);
    }
    for (std::size_t k : {1, 2}) {
      const auto more = early[k]->evaluate(plan);
      check_equal(*more, *one);
      CHECK(more->unscored == one->unscored);
      CHECK(early[k]->samples_scored() == early[0]->samples_scored());
    }
    ++(one->ended_early() ? counts.early : counts.complete);
  }
}

struct Fixture {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = mostly_right(model, 50);
  Calibration calibration = calibrate(model, *data, std::vector<Precision>{k16, k8, k4, {2, 2}});
  std::unique_ptr<Task> task = make_top_k(1);
  EvaluatorOptions options{.gate = {.keep = 0.9}, .batch_size = 8, .threads = 2, .early_stop = true};

  [[nodiscard]] std::unique_ptr<PlanEvaluator> evaluator(const Monitor& monitor = {}) const {
    auto made = std::make_unique<PlanEvaluator>(simulate(model, calibration), *data, *task, options, monitor);
    (void)made->measure_baseline(kBaseline);
    return made;
  }
  const Plan kBaseline = Plan::uniform(5, k16);
  const Plan kLow = Plan::uniform(5, {2, 2});
};

}  // namespace

TEST_CASE("verdicts are those of full passes for any task, gate, plan and number of threads") {
  Counts counts;
  for (const Gate& gate : some_gates()) {
    compare_with_full(*make_top_k(1), gate, counts);
    compare_with_full(Probability(true), gate, counts);
  }
  CHECK(counts.early > 20);
  CHECK(counts.complete > 20);
}

TEST_CASE("without limits to its scores a task lets only damage end an evaluation early") {
  for (const Gate& gate : some_gates()) {
    Counts counts;
    compare_with_full(Probability(false), gate, counts);
    if (gate.kind != GateKind::Damage) CHECK(counts.early == 0);
    if (gate.kind == GateKind::Damage && gate.budget < 0.1) CHECK(counts.early > 5);
  }
}

TEST_CASE("data without labels are enough for an evaluation that damage ends early") {
  const auto data = make_tensor_dataset("unlabelled", {at::arange(kSamples, at::kFloat)}, {});
  const SquaredError task;
  const Gate gate{.kind = GateKind::Damage, .budget = 0.003};
  PlanEvaluator early(std::make_unique<Drawn>(), *data, task, {.gate = gate, .batch_size = 4, .early_stop = true});
  REQUIRE(early.measure_baseline(Plan::uniform(3, k16)));
  const auto part = early.evaluate(Plan::uniform(3, k4));
  CHECK(part->ended_early());
  CHECK(part->damage > gate.budget);
  CHECK_FALSE(part->passed);
}

TEST_CASE("an evaluation that ends early says how much was scored, what is still possible, and counts its share") {
  Fixture f;
  const auto early = f.evaluator();
  CHECK(early->samples_scored() == 100);
  const auto part = early->evaluate(f.kLow);
  const auto all = early->evaluate_fully(f.kLow);
  REQUIRE(part->ended_early());
  CHECK_FALSE(all->ended_early());
  CHECK(part->samples == 50);
  CHECK(part->score_count >= all->score_count);
  CHECK(part->score == part->score_count / 50);
  CHECK(part->damage <= all->damage);
  CHECK(part->score_error <= all->score_error);
  CHECK(part->interval.high == 0);
  CHECK_FALSE(f.options.gate.passes(*part, early->baseline()));
  const std::int64_t scored = 50 - part->unscored;
  CHECK(early->samples_scored() == 100 + scored + 50);
  CHECK(early->forward_passes() == Approx(3 + static_cast<double>(scored) / 50));
  // Another gate that these figures fail is failed by all samples too; one that they pass is open.
  CHECK_FALSE(Gate{.keep = 0.99}.passes(*part, early->baseline()));
  CHECK(Gate{.keep = 0.01}.passes(*part, early->baseline()));
}

TEST_CASE("an evaluator that takes over a baseline scores all samples") {
  Fixture f;
  const auto early = f.evaluator();
  REQUIRE(early->evaluate(f.kLow)->ended_early());
  PlanEvaluator other(simulate(f.model, f.calibration), *early);
  const auto all = other.evaluate(f.kLow);
  CHECK_FALSE(all->ended_early());
  check_equal(*all, *early->evaluate_fully(f.kLow));
}

TEST_CASE("figures of a network that passes are those without early stop") {
  Fixture f;
  f.options.gate.keep = 0.1;
  const auto early = f.evaluator();
  f.options.early_stop = false;
  const auto full = f.evaluator();
  for (const Plan& plan : {f.kBaseline, Plan::uniform(5, k4), Plan{{k8, k4, k16, k4, k8}}}) {
    const auto expected = full->evaluate(plan);
    const auto got = early->evaluate(plan);
    CHECK_FALSE(got->ended_early());
    CHECK(got->score_count == expected->score_count);
    CHECK(got->interval.low == expected->interval.low);
    CHECK(got->damage == Approx(expected->damage).epsilon(1e-5));  // another batch may be added up in another way
  }
}

TEST_CASE("networks in an engine end early as simulated ones do, a last batch that is not full included") {
  Fixture f;
  const auto engine = std::make_shared<fakes::FakeEngine>();
  for (const double keep : {0.2, 0.6, 0.9, 0.99}) {
    f.options.gate.keep = keep;
    const auto simulated = f.evaluator();
    PlanEvaluator deployed(deploy(f.model, f.calibration, engine, f.options), *f.data, *f.task, f.options);
    REQUIRE(deployed.measure_baseline(f.kBaseline));
    for (const Plan& plan : {f.kLow, Plan::uniform(5, k4), Plan::uniform(5, k8)}) {
      const auto expected = simulated->evaluate(plan);
      const auto got = deployed.evaluate(plan);
      CHECK(got->score_count == expected->score_count);
      CHECK(got->unscored == expected->unscored);
      CHECK(got->passed == expected->passed);
    }
  }
}

TEST_CASE("progress of an evaluation that ends early ends at the total") {
  Fixture f;
  Progress last;
  const auto early =
      f.evaluator({.on_progress = [&](const Progress& progress) { last = progress; }, .should_stop = {}});
  REQUIRE(early->evaluate(f.kLow)->ended_early());
  CHECK(last.done == 50);
  CHECK(last.total == 50);
}

TEST_CASE("samples are visited most fragile first, equals as they lie, with their clean outputs") {
  const at::Tensor fragility = at::tensor({1.0, 3.0, 1.0, 3.0, 2.0}, at::kDouble);
  const auto order = internal::most_fragile_first(fragility);
  CHECK(order == std::vector<std::int64_t>{1, 3, 4, 0, 2});
  const at::Tensor a = at::arange(5, at::kFloat);
  const at::Tensor b = at::arange(10, at::kFloat).view({5, 2});
  const auto batches = internal::in_order(
      {{a.slice(0, 0, 2), b.slice(0, 0, 2)}, {a.slice(0, 2, 4), b.slice(0, 2, 4)}, {a.slice(0, 4), b.slice(0, 4)}},
      order, 2);
  REQUIRE(batches.size() == 3);
  CHECK(at::equal(batches[0][0], at::tensor({1.0F, 3.0F})));
  CHECK(at::equal(batches[1][1], at::tensor({8.0F, 9.0F, 0.0F, 1.0F}).view({2, 2})));
  CHECK(at::equal(batches[2][0], at::tensor({2.0F})));
}
