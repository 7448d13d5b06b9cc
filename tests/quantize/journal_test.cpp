// What a run keeps and finds again, and what a change makes it miss.
#include "halftone/core/journal.hpp"

#include <ATen/ATen.h>

#include <set>

#include "failure.hpp"
#include "fixture.hpp"
#include "halftone/core/file.hpp"
#include "quantize/kept_evaluator.hpp"
#include "quantize/kept_json.hpp"
#include "quantize/memory.hpp"
#include "quantize/setup.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// Runs, with the stages that had work to do.
struct Fixture : QuantizeFixture {
  Fixture() {
    model_latency();
    options.journal = dir / "journal";
    options.keep = 0.999;
  }
  std::set<std::string> stages() {
    std::set<std::string> seen;
    last = run({.on_progress = [&](const Progress& progress) { seen.emplace(progress.stage); }, .should_stop = {}});
    return seen;
  }

  TempDir dir;
  RunResult last;
};

/// Top-1 with an option that its name does not tell.
class Strict final : public Task {
 public:
  [[nodiscard]] std::string name() const override { return task_->name(); }
  [[nodiscard]] std::string identity() const override { return "top1, strict"; }

 private:
  void do_check(const std::vector<at::Tensor>& outputs, const Dataset& data) const override {
    task_->check(outputs, data);
  }
  [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>& outputs, const at::Tensor& targets) const override {
    return task_->score(outputs, targets);
  }
  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                     const std::vector<at::Tensor>& clean) const override {
    return task_->damage(outputs, clean);
  }

  std::unique_ptr<Task> task_ = make_top_k(1);
};

bool worked(const std::set<std::string>& stages, const char* stage) { return stages.contains(stage); }

}  // namespace

TEST_CASE("a run that was finished before takes everything from its journal") {
  Fixture f;
  f.with_report = true;
  const auto first = f.stages();
  CHECK(worked(first, "calibrate"));
  CHECK(worked(first, "evaluate"));
  const RunResult whole = f.last;
  const auto second = f.stages();
  for (const auto* const stage : {"calibrate", "evaluate", "measure", "sense"}) CHECK_FALSE(worked(second, stage));
  CHECK(f.last.plan == whole.plan);
  CHECK(f.last.calibration == whole.calibration);
  CHECK(f.last.steps.size() == whole.steps.size());
  CHECK(f.last.forward_passes == Approx(whole.forward_passes));
  CHECK(f.last.result.evaluation.damage == whole.result.evaluation.damage);
  CHECK(f.last.result.report->score == whole.result.report->score);
  CHECK(f.last.measured->plan.minimum == whole.measured->plan.minimum);
  CHECK_THAT(f.last.notes.back(), Contains("taken from an earlier run"));
}

TEST_CASE("what ranges depend on, changed alone, has them measured anew") {
  const auto misses = [](const char* what, const std::function<void(Fixture&)>& change) {
    CAPTURE(what);
    Fixture f;
    (void)f.stages();
    change(f);
    const auto stages = f.stages();
    CHECK(worked(stages, "calibrate"));
  };
  misses("weights", [](Fixture& f) { f.model.tensors[static_cast<std::size_t>(f.model.sites[0].weight)].mul_(1.5); });
  misses("sites", [](Fixture& f) { f.model.sites.front().name = "another"; });
  misses("data", [](Fixture& f) { f.data = mostly_right(f.model, 21); });
  misses("task", [](Fixture& f) { f.parts.task = make_top_k(2); });
  misses("options of a task", [](Fixture& f) { f.parts.task = std::make_shared<Strict>(); });
  misses("seed", [](Fixture& f) { f.options.seed = 1; });
  misses("batch size", [](Fixture& f) { f.options.batch_size = 7; });
  misses("precisions", [](Fixture& f) { f.options.precisions = {k16, k8, k4}; });
  misses("input ranges", [](Fixture& f) { f.options.input_range.method = RangeMethod::Max; });
  misses("percentile", [](Fixture& f) { f.options.input_range.percentile = 99; });
  misses("candidates", [](Fixture& f) { f.options.input_range.candidates = 50; });
  misses("weight ranges", [](Fixture& f) { f.options.weight_range.method = RangeMethod::Max; });
}

TEST_CASE("what scores depend on, changed alone, has plans scored anew") {
  const auto misses = [](const char* what, const std::function<void(Fixture&)>& change) {
    CAPTURE(what);
    Fixture f;
    (void)f.stages();
    change(f);
    CHECK(worked(f.stages(), "evaluate"));
  };
  misses("engine", [](Fixture& f) { f.parts.engine = std::make_shared<fakes::FakeEngine>("2.0"); });
  misses("float type", [](Fixture& f) { f.options.float_type = FloatType::Float32; });
  misses("place", [](Fixture& f) { f.options.scoring = Scoring::Simulated; });
}

TEST_CASE("every part of a score's fingerprint tells scores apart") {
  QuantizeFixture f;
  const Monitor monitor;
  const QuantizeData data{*f.data, *f.data};
  Calibration calibration{.sites = std::vector<SiteRanges>(5)};
  const auto fingerprint = [&](bool in_engine = true, const std::string& digest = "data") {
    return internal::Setup(f.model, data, f.options, f.parts, monitor)
        .scoring_fingerprint(in_engine, calibration, digest);
  };
  std::set<std::string> all{fingerprint()};
  CHECK(all.contains(fingerprint()));
  const auto is_new = [&](const std::string& made) { return all.insert(made).second; };
  CHECK(is_new(fingerprint(false)));
  CHECK(is_new(fingerprint(true, "other data")));
  calibration.sites[3].input_max = 1e-9;
  CHECK(is_new(fingerprint()));
  f.parts.task = make_top_k(2);
  CHECK(is_new(fingerprint()));
  f.options.batch_size = 3;
  CHECK(is_new(fingerprint()));
  f.options.float_type = FloatType::Float32;
  CHECK(is_new(fingerprint()));
  f.parts.engine = std::make_shared<fakes::FakeEngine>("2.0");
  CHECK(is_new(fingerprint()));
  f.model.tensors[static_cast<std::size_t>(f.model.sites[0].weight)].mul_(1.5);
  CHECK(is_new(fingerprint()));
}

TEST_CASE("an evaluation that ended early counts only where it settles the gate") {
  Fixture f;
  internal::Memory memory(f.dir / "other");
  const Plan plan = Plan::uniform(5, k8);
  internal::KeptEvaluator evaluator(
      memory, "fingerprint",
      [&]() -> std::unique_ptr<PlanEvaluator> { throw std::runtime_error("it was to be scored"); },
      Plan::uniform(5, k16));
  Digest baseline;
  baseline.add("fingerprint").add(to_string(Plan::uniform(5, k16)));
  const Evaluation whole{.plan_digest = "16", .score = 0.9, .score_count = 90, .samples = 100};
  memory.keep("baseline", baseline, {internal::to_kept(whole), internal::to_kept(whole)});
  Digest key;
  key.add("fingerprint").add(to_string(plan));
  memory.keep("evaluation", key, internal::to_kept({.plan_digest = "8", .score = 0.8, .samples = 100, .unscored = 60}));
  REQUIRE(evaluator.measure_baseline());
  evaluator.set_gate({.keep = 0.95});
  const auto settled = evaluator.evaluate(plan);
  REQUIRE(settled);
  CHECK_FALSE(settled->passed);
  CHECK(evaluator.forward_passes() == Approx(2.4));
  CHECK_THROWS_WITH(evaluator.evaluate_fully(plan), "it was to be scored");
  evaluator.set_gate({.keep = 0.8});  // it might pass
  CHECK_THROWS_WITH(evaluator.evaluate(plan), "it was to be scored");
}

TEST_CASE("a journal whose content is damaged or of no use is as good as none") {
  TempDir dir;
  {
    Journal journal(dir / "j");
    journal.append("calibration " + Digest().hex(), "no JSON");
    journal.append("evaluation " + Digest().hex(), "[1, 2]");
  }
  internal::Memory memory(dir / "j");
  CHECK_FALSE(memory.find("calibration", Digest(), internal::kept_weights));
  CHECK_FALSE(memory.find("evaluation", Digest(), internal::kept_evaluation));
  CHECK(memory.found() == 0);
  internal::Memory none({});
  none.keep("calibration", Digest(), 1);
  CHECK_FALSE(none.find("calibration", Digest(), internal::kept_weights));
}
