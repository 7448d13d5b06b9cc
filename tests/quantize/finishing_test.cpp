// Fine-tuning as a stage of a run: when it is the result, and what the run says of it.
#include "failure.hpp"
#include "fixture.hpp"
#include "halftone/core/file.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/plan/plan_file.hpp"
#include "halftone/report/run_file.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// Gives back the network with other values of its first site's weight, and ranges to match.
class Change final : public Finisher {
 public:
  explicit Change(std::function<at::Tensor(const at::Tensor&)> change) : change_(std::move(change)) {}

  [[nodiscard]] std::string identity() const override { return "change"; }
  mutable std::int64_t training = 0;
  mutable Plan plan;

 private:
  [[nodiscard]] FinishedNetwork do_finish(const FinishContext& context) const override {
    training = context.training.size();
    plan = context.plan;
    FinishedNetwork made{context.model, context.calibration, {}};
    at::Tensor& weight = made.model.tensors[static_cast<std::size_t>(context.model.sites[0].weight)];
    weight = change_(weight);
    for (auto& [bits, range] : made.calibration.sites[0].weight) {
      const at::Tensor bounds = weight.abs().flatten(1).amax(1);
      range.bounds.resize(static_cast<std::size_t>(bounds.size(0)));
      for (std::size_t c = 0; c < range.bounds.size(); ++c)
        range.bounds[c] = bounds[static_cast<std::int64_t>(c)].item<double>();
    }
    made.record = {.descent = {.damage_before = 2, .damage_after = 1, .steps = 5, .step_kept = 5, .forward_passes = 3},
                   .tensors = 1,
                   .values = weight.numel(),
                   .model_digest = digest(made.model)};
    return made;
  }

  std::function<at::Tensor(const at::Tensor&)> change_;
};

/// The float network is right more often after its first weight was replaced by `better`.
struct Fixture : QuantizeFixture {
  std::unique_ptr<Dataset> training = tiny::images(30, 500);
  at::Tensor better = tiny::random({4, 2, 3, 3}, 600);

  Fixture() {
    model_latency();
    parts.engine = nullptr;
    with_report = true;
    options.keep = 0.5;
    Model target = model;
    target.tensors[static_cast<std::size_t>(target.sites[0].weight)] = better;
    data = mostly_right(target, 60);
  }
  [[nodiscard]] FinishedRun finish(const Finisher& finisher) const {
    const auto report = mostly_right(model, 24);
    return quantize_and_finish(model, {*data, *data, report.get()}, {*training, finisher}, options, parts);
  }
  [[nodiscard]] Change improve() const {
    return Change([this](const at::Tensor&) { return better.clone(); });
  }
  [[nodiscard]] Change spoil() const {
    return Change([](const at::Tensor& weight) { return weight * 0; });
  }
};

}  // namespace

TEST_CASE("a network that scores better after fine-tuning is the result, beside the baseline of the one before") {
  const Fixture f;
  const Change improve = f.improve();
  const RunResult before = f.run();
  const FinishedRun after = f.finish(improve);
  REQUIRE(after.finished);
  const RunResult& run = after.run;
  CHECK(run.status == RunStatus::Met);
  CHECK(improve.training == 30);
  CHECK(improve.plan == run.plan);
  CHECK(run.plan == before.plan);
  CHECK(run.result.evaluation.score > before.result.evaluation.score);
  check_equal(run.baseline.evaluation, before.baseline.evaluation);
  CHECK(run.float_score.score == before.float_score.score);
  CHECK(run.finishing->kept);
  CHECK(run.finishing->model_digest == digest(*after.finished));
  CHECK(run.calibration == before.calibration);
  REQUIRE(run.finished_ranges);
  CHECK(*run.finished_ranges != run.calibration);
  CHECK(run.decisions.back().passed);
  CHECK_THAT(run.decisions.back().text, Contains("fine-tuned") && Contains("it is the result"));
  CHECK(run.steps.size() == before.steps.size() + 1);
  check_equal(run.steps.back().evaluation, run.result.evaluation);
  CHECK(run.steps.back().evaluation.plan_digest != before.result.evaluation.plan_digest);
  CHECK_THAT(run.notes.back(), Contains("fine-tuned to the plan on tiny") && Contains("finished.safetensors"));
  CHECK(run.training_data->samples == 30);
  CHECK(run.training_data->digest == f.training->digest());

  // The report part is scored with the network that is the result.
  const auto report = mostly_right(f.model, 24);
  const auto task = make_top_k(1);
  PlanEvaluator reference(simulate(f.model, run.calibration), *report, *task,
                          {.batch_size = f.options.batch_size, .early_stop = true});
  REQUIRE(reference.measure_baseline(Plan::uniform(5, k16)));
  const auto scored = PlanEvaluator(simulate(*after.finished, *run.finished_ranges), reference).evaluate(run.plan);
  CHECK(run.result.report->score == scored->score);
  CHECK(run.result.report->damage == scored->damage);
}

TEST_CASE("a network that scores no better after fine-tuning is dropped") {
  const Fixture f;
  const RunResult before = f.run();
  const FinishedRun after = f.finish(f.spoil());
  CHECK_FALSE(after.finished);
  CHECK_FALSE(after.run.finished_ranges);
  check_equal(after.run.result.evaluation, before.result.evaluation);
  CHECK(after.run.plan == before.plan);
  CHECK(after.run.calibration == before.calibration);
  CHECK_FALSE(after.run.finishing->kept);
  CHECK_THAT(after.run.decisions.back().text, Contains("its score is no better, and it is dropped"));
  CHECK_THAT(after.run.notes.back(), Contains("it is dropped"));
}

TEST_CASE("under a damage gate damage decides, not the score") {
  Fixture f;
  f.options.gates = {{.kind = GateKind::Damage, .budget = 100}};
  const FinishedRun after = f.finish(f.improve());
  CHECK_FALSE(after.finished);
  const SearchStep& step = after.run.steps.back();
  CHECK(step.evaluation.score > after.run.result.evaluation.score);
  CHECK(step.evaluation.damage > after.run.result.evaluation.damage);
  CHECK_THAT(step.decision, Contains("its damage is no less"));
}

TEST_CASE("a run that missed its target meets it where the fine-tuned plan passes") {
  Fixture f;
  f.options.precisions = {k8, k4};
  f.options.keep = 0.5;
  f.options.gates = {{.keep = 1, .kind = GateKind::Confidence}};
  const RunResult before = f.run();
  REQUIRE(before.status == RunStatus::Missed);
  const FinishedRun after = f.finish(f.improve());
  REQUIRE(after.finished);
  CHECK(after.run.result.evaluation.passed);
  CHECK(after.run.status == RunStatus::Met);
}

TEST_CASE("what is written of a fine-tuned run is read again") {
  const Fixture f;
  const FinishedRun after = f.finish(f.improve());
  REQUIRE(after.finished);
  const TempDir dir;
  write_run(after.run, (dir / "out").string());
  const PlanFile plan = read_plan_file(dir / "out/plan.json");
  CHECK(plan.finished_digest == digest(*after.finished));
  CHECK(plan.model_digest == digest(f.model));
  const AppliedPlan applied = apply_plan_file(plan, f.model.sites, digest(f.model));
  CHECK((applied.calibration.sites[0].weight.at(8).bounds == after.run.finished_ranges->sites[0].weight.at(8).bounds));
  const RunResult read = read_run(dir / "out");
  REQUIRE(read.finishing);
  CHECK(read.finishing->kept);
  CHECK(read.finishing->descent.steps == 5);
  CHECK(read.finishing->values == 72);
  CHECK(read.finishing->model_digest == plan.finished_digest);
  CHECK(read.training_data->samples == 30);
  CHECK_THAT(read_text(dir / "out/report.txt"), Contains("fine-tuned"));

  write_run(f.run(), (dir / "plain").string());
  CHECK(read_plan_file(dir / "plain/plan.json").finished_digest.empty());
  CHECK_FALSE(read_run(dir / "plain").finishing);
}

TEST_CASE("plans for looser gates keep the ranges of the network as it was") {
  Fixture f;
  f.options.gates = {{.keep = 0.3}, {.keep = 0.5}};
  const FinishedRun after = f.finish(f.improve());
  REQUIRE(after.finished);
  const TempDir dir;
  write_run(after.run, (dir / "out").string());
  const PlanFile looser = read_plan_file(dir / "out/plan-keep-30.json");
  CHECK(looser.finished_digest.empty());
  CHECK((looser.sites[0].ranges.weight.at(8).bounds == after.run.calibration.sites[0].weight.at(8).bounds));
}

TEST_CASE("training on the samples that decide is refused") {
  Fixture f;
  f.training = mostly_right(f.model, 24);
  const Failure report = failure([&] { (void)f.finish(f.improve()); });
  CHECK(report.code == Errc::InvalidArgument);
  CHECK_THAT(report.text, Contains("holds the samples of the report part"));
  const Failure validation = failure([&] {
    (void)quantize_and_finish(f.model, {*f.data, *f.data}, {*f.data, f.improve()}, f.options, f.parts);
  });
  CHECK_THAT(validation.text, Contains("holds the samples of the validation data"));
}

TEST_CASE("a finisher that gives back another network is refused") {
  const Fixture f;
  const Change shape([](const at::Tensor&) { return at::ones({4, 2, 1, 1}); });
  const Change infinite([](const at::Tensor& weight) { return weight / 0; });
  for (const Change* finisher : {&shape, &infinite}) {
    const Failure refused = failure([&] { (void)f.finish(*finisher); });
    CHECK(refused.code == Errc::Internal);
    CHECK_THAT(refused.text, Contains("tensor \"stem.weight\""));
  }
}
