#include <nlohmann/json.hpp>

#include <functional>

#include "distributed/on_ranks.hpp"
#include "fixture.hpp"
#include "halftone/distributed/team.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/registry.hpp"
#include "temp_dir.hpp"

using namespace halftone;

namespace {

/// A result without what takes time: what two runs have in common to the last bit.
nlohmann::json without_times(const RunResult& run) {
  nlohmann::json json = to_run_json(run);
  for (const char* name : {"seconds", "environment"}) json.erase(name);
  const std::function<void(nlohmann::json&)> strip = [&](nlohmann::json& value) {
    if (value.is_object()) value.erase("seconds");
    if (value.is_structured())
      for (auto& entry : value) strip(entry);
  };
  strip(json);
  return json;
}

/// A run whose results do not hang on what is timed.
QuantizeFixture modelled() {
  QuantizeFixture f;
  f.model_latency();
  f.parts.engine = nullptr;
  f.options.precisions = {k16, k8, k4};
  f.options.keep = 0.999;
  f.options.batch_size = 3;
  f.with_report = true;
  return f;
}

std::vector<RunResult> run_on_ranks(const QuantizeFixture& f, int ranks) {
  std::vector<RunResult> results(static_cast<std::size_t>(ranks));
  const auto failures = failures_on_ranks(ranks, [&](Communicator& communicator) {
    QuantizeOptions options = f.options;
    options.communicator = &communicator;
    results[static_cast<std::size_t>(communicator.rank())] =
        quantize(f.model, {*f.data, *f.data, f.with_report ? f.data.get() : nullptr}, options, f.parts);
  });
  for (const auto& failure : failures) REQUIRE(failure == "");
  return results;
}

}  // namespace

TEST_CASE("a run on any number of ranks gives the result of one process, bit for bit, on each") {
  for (const auto& [name, metric] : default_registry().metrics) {
    QuantizeFixture f = modelled();
    f.parts.metric = std::shared_ptr<const SensitivityMetric>(metric());
    const nlohmann::json alone = without_times(f.run());
    for (const int ranks : {2, 3}) {
      CAPTURE(name, ranks);
      for (const RunResult& run : run_on_ranks(f, ranks)) {
        CHECK(run.environment.at("ranks") == std::to_string(ranks));
        CHECK(without_times(run) == alone);
      }
    }
  }
}

TEST_CASE("latency is measured on rank 0, and all ranks go by it") {
  QuantizeFixture f;
  const auto runs = run_on_ranks(f, 3);
  for (const RunResult& run : runs) {
    CHECK(run.plan == runs.front().plan);
    REQUIRE(run.measured);
    CHECK(run.measured->plan.samples == runs.front().measured->plan.samples);
  }
  check_result(runs.front());
}

TEST_CASE("ranks that go on from a journal find what rank 0's has") {
  const TempDir dir;
  QuantizeFixture f = modelled();
  f.options.journal = dir.path() / "journal";
  const RunResult first = run_on_ranks(f, 2).front();
  const RunResult again = run_on_ranks(f, 3).front();
  CHECK(again.plan == first.plan);
  CHECK(again.notes.back().find("taken from an earlier run") != std::string::npos);
  const RunResult alone = f.run();  // ranks or not, results are the same and are found
  CHECK(alone.notes.back() == again.notes.back());
}

TEST_CASE("ranks with other data, options or networks are refused on all ranks") {
  const QuantizeFixture f = modelled();
  const auto other_data = tiny::images(20);
  Model other_model = tiny::residual_net();
  other_model.tensors[static_cast<std::size_t>(other_model.sites[0].weight)].add_(1);
  const auto differ = [&](const std::string& in) {
    return failures_on_ranks(2, [&](Communicator& communicator) {
      const bool is_other = communicator.rank() == 1;
      QuantizeOptions options = f.options;
      options.communicator = &communicator;
      if (is_other && in == "options") options.seed = 7;
      const Dataset& validation = is_other && in == "validation data" ? *other_data : *f.data;
      (void)quantize(is_other && in == "network" ? other_model : f.model, {*f.data, validation}, options, f.parts);
    });
  };
  for (const char* in : {"options", "validation data", "network"})
    for (const std::string& failure : differ(in)) {
      CAPTURE(in, failure);
      CHECK(failure.starts_with("ranks differ in "));
      CHECK(failure.find(in) != std::string::npos);
      CHECK(failure.find("rank 1 has") != std::string::npos);
    }
}

TEST_CASE("a rank that is stopped stops the run on all, with the best plan so far") {
  const QuantizeFixture f = modelled();
  for (const int limit : {0, 5, 40, 200}) {
    std::vector<RunResult> results(2);
    const auto failures = failures_on_ranks(2, [&](Communicator& communicator) {
      QuantizeOptions options = f.options;
      options.communicator = &communicator;
      int asked = 0;
      const Monitor monitor{.on_progress = {},
                            .should_stop = [&] { return communicator.rank() == 1 && ++asked > limit; }};
      results[static_cast<std::size_t>(communicator.rank())] =
          quantize(f.model, {*f.data, *f.data}, options, f.parts, monitor);
    });
    for (const auto& failure : failures) CHECK(failure.empty());
    CHECK(results[0].status == results[1].status);
    CHECK(results[0].plan == results[1].plan);
    if (limit <= 5) CHECK(results[0].status == RunStatus::Stopped);
  }
}

TEST_CASE("a stop before the journal is open is a stop, on all ranks") {
  const TempDir dir;
  QuantizeFixture f = modelled();
  f.options.journal = dir.path() / "journal";
  std::vector<RunResult> results(2);
  const auto failures = failures_on_ranks(2, [&](Communicator& communicator) {
    QuantizeOptions options = f.options;
    options.communicator = &communicator;
    const Monitor monitor{.on_progress = {}, .should_stop = [&] { return communicator.rank() == 0; }};
    results[static_cast<std::size_t>(communicator.rank())] =
        quantize(f.model, {*f.data, *f.data}, options, f.parts, monitor);
  });
  for (const auto& failure : failures) CHECK(failure == "");
  for (const RunResult& result : results) CHECK(result.status == RunStatus::Stopped);
}

TEST_CASE("a wish to stop that is said once, on one rank, ends a pass of an evaluator on all") {
  const QuantizeFixture f = modelled();
  const auto task = make_top_k(1);
  const Calibration calibration = calibrate(f.model, *f.data, std::vector<Precision>{k4});
  std::vector<int> ended(3);
  const auto failures = failures_on_ranks(3, [&](Communicator& communicator) {
    Team team(communicator);
    int asked = 0;
    const Monitor monitor{.on_progress = {}, .should_stop = [&] { return communicator.rank() == 1 && ++asked == 2; }};
    PlanEvaluator evaluator(simulate(f.model, calibration), *f.data, *task, {.batch_size = 2, .team = &team}, monitor);
    ended[static_cast<std::size_t>(team.rank())] =
        evaluator.measure_baseline(Plan::uniform(f.model.sites.size(), k16)) ? 0 : 1;
  });
  for (const auto& failure : failures) CHECK(failure == "");
  CHECK(ended == std::vector<int>(3, 1));
}

TEST_CASE("scores of an evaluator with early stop end at one place on all ranks") {
  const QuantizeFixture f = modelled();
  const auto task = make_top_k(1);
  const Calibration calibration = calibrate(f.model, *f.data, std::vector<Precision>{k4});
  const auto score = [&](Team* team) {
    PlanEvaluator evaluator(
        simulate(f.model, calibration), *f.data, *task,
        {.gate = {.kind = GateKind::Damage, .budget = 1e-6}, .batch_size = 2, .early_stop = true, .team = team});
    expect(evaluator.measure_baseline(Plan::uniform(f.model.sites.size(), k16)).has_value(), "stopped");
    return evaluator.evaluate(Plan::uniform(f.model.sites.size(), k4)).value();
  };
  const Evaluation alone = score(nullptr);
  CHECK(alone.ended_early());
  std::vector<Evaluation> on_ranks(3);
  const auto failures = failures_on_ranks(3, [&](Communicator& communicator) {
    Team team(communicator);
    on_ranks[static_cast<std::size_t>(team.rank())] = score(&team);
  });
  for (const auto& failure : failures) CHECK(failure.empty());
  for (const Evaluation& evaluation : on_ranks) check_equal(evaluation, alone);
}
