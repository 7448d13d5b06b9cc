#include "halftone/train/finish.hpp"

#include <ATen/ATen.h>
#include <torch/optim/sgd.h>

#include <array>
#include <numeric>

#include "adjust/clean_batches.hpp"
#include "adjust/guard.hpp"
#include "distributed/on_ranks.hpp"
#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/distributed/team.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "squared_error.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

const std::vector<Precision> kPrecisions{k16, k8, k4};

struct Fixture {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = tiny::images(96);
  Calibration calibration = calibrate(model, *data, kPrecisions);
  std::unique_ptr<Task> task = make_top_k(1);
  Plan plan = Plan::uniform(5, k4);
  FinishOptions options{.steps = 60,
                        .step_samples = 16,
                        .weight_rate = 0.01,
                        .bound_rate = 0.01,
                        .steps_per_check = 10,
                        .batch_size = 8,
                        .threads = 2};

  /// Ranges three times as wide as calibrated: there is something to gain.
  Fixture() {
    for (SiteRanges& site : calibration.sites) {
      for (auto& [bits, range] : site.input) range.low *= 3, range.high *= 3;
      for (auto& [bits, range] : site.weight)
        for (double& bound : range.bounds) bound *= 3;
    }
  }

  [[nodiscard]] FinishedNetwork run(Team* team = nullptr, const Monitor& monitor = {}) const {
    return finish({.model = model,
                   .plan = plan,
                   .calibration = calibration,
                   .training = *data,
                   .task = *task,
                   .monitor = monitor,
                   .team = team},
                  options);
  }
  [[nodiscard]] const at::Tensor& weight(const Model& of, std::size_t site) const {
    return of.tensors[static_cast<std::size_t>(of.sites[site].weight)];
  }
  /// Beside the clean outputs of the network as it was.
  [[nodiscard]] double damage(const FinishedNetwork& network, const Dataset& samples) const {
    SimulatedEvaluator before(model, calibration, samples, *task);
    REQUIRE(before.measure_baseline(Plan::uniform(5, k16)));
    return PlanEvaluator(simulate(network.model, network.calibration), before).evaluate(plan)->damage;
  }
};

bool shares_all(const Model& a, const Model& b) {
  for (std::size_t id = 0; id < a.tensors.size(); ++id)
    if (a.tensors[id].defined() && !a.tensors[id].is_same(b.tensors[id])) return false;
  return true;
}

void check_same(const FinishedNetwork& a, const FinishedNetwork& b) {
  CHECK(digest(a.model) == digest(b.model));
  CHECK(a.calibration == b.calibration);
  CHECK(a.record.descent.damage_after == b.record.descent.damage_after);
}

}  // namespace

TEST_CASE("a network at 4 bits gets better by fine-tuning, also on samples that were not seen") {
  const Fixture f;
  const FinishedNetwork finished = f.run();
  const RangeAdjustment& record = finished.record.descent;
  CHECK(record.step_kept > 0);
  CHECK(record.damage_after < 0.5 * record.damage_before);
  CHECK(record.held_out == 19);
  CHECK(record.trained_on == 77);
  CHECK(record.steps == 60);
  CHECK(record.checks.size() == 6);
  CHECK(record.backward_passes == Approx(60 * 16 / 96.0).epsilon(0.1));
  CHECK(finished.record.tensors == 5);
  CHECK(finished.record.values == 72 + 144 + 16 + 108 + 540);
  CHECK(finished.record.model_digest == digest(finished.model));

  const auto unseen = tiny::images(96, 200);
  const FinishedNetwork start{f.model, f.calibration, {}};
  CHECK(f.damage(finished, *unseen) < 0.8 * f.damage(start, *unseen));
}

TEST_CASE("weights alone can move, and then ranges are those of the start") {
  Fixture f;
  f.options.ranges = false;
  const FinishedNetwork weights = f.run();
  REQUIRE(weights.record.descent.step_kept > 0);
  CHECK(weights.record.descent.bounds == 0);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK((weights.calibration.sites[i].input == f.calibration.sites[i].input));
    CHECK((weights.calibration.sites[i].weight == f.calibration.sites[i].weight));
    CHECK(weights.calibration.sites[i].weight_max == f.weight(weights.model, i).abs().max().item<double>());
  }
  CHECK(weights.record.descent.damage_after < weights.record.descent.damage_before);
}

TEST_CASE("steps that are far too large change nothing: the start does better on the samples held out") {
  Fixture f;
  f.options.weight_rate = 1e4;
  f.options.bound_rate = 1e4;
  const FinishedNetwork finished = f.run();
  CHECK(finished.record.descent.step_kept == 0);
  CHECK(finished.record.descent.steps == 60);
  CHECK(finished.record.descent.damage_after == finished.record.descent.damage_before);
  CHECK(finished.record.model_digest.empty());
  CHECK(shares_all(f.model, finished.model));
  CHECK(finished.calibration == f.calibration);
}

TEST_CASE("the damage of the network returned is what evaluation finds on the samples held out") {
  const Fixture f;
  const FinishedNetwork finished = f.run();
  REQUIRE(finished.record.descent.step_kept > 0);
  const auto parts = internal::split_samples(*f.data, f.options.held_out, 1024, f.options.seed, "test");
  const auto held_out = make_subset({std::shared_ptr<const void>(), f.data.get()}, parts.held_out, "held out");
  CHECK(f.damage(finished, *held_out) == Approx(finished.record.descent.damage_after).epsilon(1e-6));
  const FinishedNetwork start{f.model, f.calibration, {}};
  CHECK(f.damage(start, *held_out) == Approx(finished.record.descent.damage_before).epsilon(1e-6));
}

TEST_CASE("fine-tuning depends on the seed, and not on the number of threads") {
  Fixture f;
  const std::string before = digest(f.model);
  const FinishedNetwork once = f.run();
  REQUIRE(once.record.descent.step_kept > 0);
  check_same(f.run(), once);
  f.options.threads = 1;
  check_same(f.run(), once);
  f.options.seed = 1;
  CHECK(digest(f.run().model) != digest(once.model));
  CHECK(digest(f.model) == before);
}

TEST_CASE("sites at 16 bits stay as they are, unless they are asked for") {
  Fixture f;
  f.plan = {{k16, k4, k4, k8, k16}};
  const FinishedNetwork finished = f.run();
  REQUIRE(finished.record.descent.step_kept > 0);
  CHECK(finished.record.tensors == 3);
  for (const std::size_t site : {0, 4}) CHECK(f.weight(finished.model, site).is_same(f.weight(f.model, site)));
  for (const std::size_t site : {1, 2, 3})
    CHECK_FALSE(at::equal(f.weight(finished.model, site), f.weight(f.model, site)));
  CHECK((finished.calibration.sites[4] == f.calibration.sites[4]));
  f.options.all_sites = true;
  const FinishedNetwork all = f.run();
  CHECK(all.record.tensors == 5);
  CHECK_FALSE(at::equal(f.weight(all.model, 0), f.weight(f.model, 0)));
  CHECK(all.record.descent.damage_after < all.record.descent.damage_before);

  f.options.all_sites = false;
  f.plan = Plan::uniform(5, k16);
  const FinishedNetwork none = f.run();
  CHECK(none.record.values == 0);
  CHECK(none.record.descent.forward_passes == 0);
  CHECK(shares_all(f.model, none.model));
}

TEST_CASE("two ranks come to the weights of one, and to the same on both") {
  Fixture f;
  f.options.threads = 1;
  f.options.steps = 30;
  f.options.optimizer = [](std::vector<torch::optim::OptimizerParamGroup> groups) {
    return std::make_unique<torch::optim::SGD>(std::move(groups), torch::optim::SGDOptions(0.1).momentum(0.9));
  };
  const FinishedNetwork one = f.run();
  REQUIRE(one.record.descent.step_kept > 0);
  std::array<FinishedNetwork, 2> ranks;
  for (const std::string& failed : failures_on_ranks(2, [&](Communicator& communicator) {
         Team team(communicator);
         ranks.at(static_cast<std::size_t>(communicator.rank())) = f.run(&team);
       }))
    CHECK(failed.empty());
  check_same(ranks[0], ranks[1]);
  const FinishedNetwork& two = ranks[0];
  CHECK(two.record.descent.step_kept == one.record.descent.step_kept);
  CHECK(two.record.descent.damage_after == Approx(one.record.descent.damage_after).epsilon(1e-3));
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(at::allclose(f.weight(two.model, i), f.weight(one.model, i), 1e-3, 1e-5));
    CHECK(two.calibration.sites[i].input.at(4).high == Approx(one.calibration.sites[i].input.at(4).high).epsilon(1e-3));
  }
}

TEST_CASE("labels have the share in the loss that is asked for") {
  Fixture f;
  f.options.label_share = 0.75;
  const FinishedNetwork finished = f.run();
  CHECK(finished.record.label_share == 0.75);
  const auto parts = internal::split_samples(*f.data, f.options.held_out, 1024, f.options.seed, "test");
  const Batch batch = f.data->get(parts.held_out);
  const Interpreter interpreter(f.model);
  QuantizedVisitor visitor(f.model, f.calibration, f.plan);
  const auto clean = interpreter.run(batch.inputs);
  const auto outputs = interpreter.run(batch.inputs, &visitor);
  const at::Tensor chosen = at::log_softmax(outputs[0].to(at::kDouble), 1).gather(1, batch.targets.unsqueeze(1));
  const double expected =
      0.25 * f.task->damage(outputs, clean).mean().item<double>() - 0.75 * chosen.mean().item<double>();
  CHECK(finished.record.descent.damage_before == Approx(expected).epsilon(1e-6));
  CHECK(finished.record.descent.damage_after < finished.record.descent.damage_before);

  f.data = make_tensor_dataset("unlabelled", {tiny::random({20, 2, 6, 6}, 7)}, {});
  const Failure refused = failure([&] { (void)f.run(); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Contains("label_share needs a class for every sample of unlabelled"));
  f.data = make_tensor_dataset("six", {tiny::random({20, 2, 6, 6}, 7)}, at::arange(20, at::kLong) % 6);
  CHECK_THAT(failure([&] { (void)f.run(); }).text, Contains("below the number of logits"));
}

TEST_CASE("a stop keeps the best network so far") {
  const Fixture f;
  std::int64_t steps = 0;
  const auto stop_at = [&](std::int64_t limit) {
    return f.run(nullptr, {.on_progress =
                               [&](const Progress& progress) {
                                 CHECK(progress.stage == "finish");
                                 CHECK(progress.total == 60);
                                 steps = progress.done;
                               },
                           .should_stop = [&, limit] { return steps >= limit; }});
  };
  const FinishedNetwork late = stop_at(25);
  CHECK(late.record.descent.stopped);
  CHECK(late.record.descent.steps == 25);
  CHECK(late.record.descent.step_kept > 0);
  CHECK(late.record.descent.damage_after < late.record.descent.damage_before);
  CHECK_FALSE(shares_all(f.model, late.model));
  const FinishedNetwork early = stop_at(0);
  CHECK(early.record.descent.stopped);
  CHECK(shares_all(f.model, early.model));
}

TEST_CASE("an error on one rank reaches the others") {
  Fixture f;
  const auto failures = failures_on_ranks(2, [&](Communicator& communicator) {
    Team team(communicator);
    Monitor monitor;
    if (communicator.rank() == 0)
      monitor.on_progress = [](const Progress& progress) {
        if (progress.done == 3) throw Error(Errc::NonFinite, "broken");
      };
    (void)f.run(&team, monitor);
  });
  CHECK_THAT(failures[0], Contains("broken"));
  CHECK_THAT(failures[1], Contains("rank 0") && Contains("broken"));
}

TEST_CASE("too few samples, missing ranges and wrong options are refused before fine-tuning") {
  Fixture f;
  f.data = tiny::images(1);
  CHECK_THAT(failure([&] { (void)f.run(); }).text, Contains("finishing: tiny holds 1 samples"));
  f.plan = Plan::uniform(5, {5, 5});
  CHECK_THAT(failure([&] { (void)f.run(); }).text, Contains("no input range at 5 bits"));
  f.options = {.steps = 0,
               .step_samples = 0,
               .weight_rate = 0,
               .bound_rate = -1,
               .label_share = 2,
               .steps_per_check = 0,
               .held_out = 1,
               .most_held_out = 0,
               .batch_size = 0,
               .threads = 0};
  const Failure wrong = failure([&] { (void)f.run(); });
  CHECK(wrong.code == Errc::InvalidArgument);
  for (const char* name :
       {"steps is 0", "step_samples is 0", "weight_rate is 0", "bound_rate is -1", "label_share is 2",
        "steps_per_check is 0", "held_out is 1", "most_held_out is 0", "batch_size is 0", "threads is 0"})
    CHECK_THAT(wrong.text, Contains(name));
  CHECK_THROWS_AS(make_finisher(f.options), Error);
}
