#include "quantize/finishing.hpp"

#include <utility>

#include "halftone/core/error.hpp"
#include "report/text_summary.hpp"

namespace halftone::internal {

namespace {

/// What the gate judges by: damage, or the score. Both are certain to be better where the evaluation before ended
/// early.
bool is_better(const Gate& gate, const Evaluation& now, const Evaluation& before) {
  return gate.kind == GateKind::Damage ? now.damage < before.damage : now.score > before.score;
}

FinishedNetwork fine_tune(const Setup& setup, const Plan& plan, RunResult& result) {
  FinishedNetwork made = setup.finishing->finisher.finish({.model = setup.model,
                                                           .plan = plan,
                                                           .calibration = result.calibration,
                                                           .training = setup.finishing->training,
                                                           .task = *setup.parts.task,
                                                           .monitor = setup.monitor,
                                                           .team = setup.team});
  made.record.descent.plan = composition(plan);
  result.finishing = made.record;
  result.forward_passes += made.record.descent.forward_passes;
  result.backward_passes += made.record.descent.backward_passes;
  if (made.record.descent.stopped) throw Stopped();
  return made;
}

void decide(const Setup& setup, const Evaluation& evaluation, TargetResult& target, RunResult& result) {
  const Evaluation& before = target.figures.evaluation;
  const ScoreText text(result);
  const bool by_damage = target.gate.kind == GateKind::Damage;
  const bool better = is_better(target.gate, evaluation, before);
  const bool keeps = better && (evaluation.passed || !before.passed);
  const std::string figures = message("damage ", text.damage(before), " -> ", text.damage(evaluation), ", score ",
                                      text.score(before), " -> ", text.score(evaluation));
  const char* const why = keeps       ? "it is the result"
                          : better    ? "it passes no more, and is dropped"
                          : by_damage ? "its damage is no less, and it is dropped"
                                      : "its score is no better, and it is dropped";
  target.decisions.push_back({evaluation.plan_digest, evaluation.passed,
                              message("the plan with weights and ranges fine-tuned to it: ", figures, ": ", why)});
  result.steps.push_back({target.plan, evaluation, setup.latency(target.plan), target.decisions.back().text});
  result.finishing->kept = keeps;
  result.notes.push_back(
      message("The network was fine-tuned to the plan on ", setup.finishing->training.name(), " (", figures, "): ", why,
              keeps ? "; plan.json fits the weights in finished.safetensors, not those of the model." : "."));
}

}  // namespace

void take_evaluation(const Setup& setup, TargetResult& target, const Evaluation& evaluation) {
  const bool may_meet = target.status == RunStatus::Missed && !setup.options.latency_target;
  if (may_meet && evaluation.passed) target.status = RunStatus::Met;
  target.figures.evaluation = evaluation;
}

std::optional<FinishedNetwork> finish_plan(const Setup& setup, KeptEvaluator& evaluator, TargetResult& target,
                                           RunResult& result) {
  FinishedNetwork made = fine_tune(setup, target.plan, result);
  if (made.record.descent.step_kept == 0) {
    const bool moves = made.record.descent.steps > 0;
    result.notes.emplace_back(
        moves ? "Fine-tuning to the plan brought nothing: no step did better on the samples that it "
                "held out, and the network stays as it was."
              : "There was nothing to fine-tune: the plan has no operand below 16 bits.");
    return std::nullopt;
  }
  PlanEvaluator* reference = evaluator.live();
  if (reference == nullptr) throw Stopped();
  PlanEvaluator finished(setup.make_runner(setup.deployed, made.model, made.calibration), *reference);
  auto evaluation = finished.evaluate_fully(target.plan);
  result.forward_passes += finished.forward_passes();
  if (!evaluation) throw Stopped();
  evaluation->passed = target.gate.passes(*evaluation, evaluator.baseline());
  evaluation->plan_digest += " finished";  // it is the plan found, of other weights and ranges
  decide(setup, *evaluation, target, result);
  if (!result.finishing->kept) return std::nullopt;
  take_evaluation(setup, target, *evaluation);
  return made;
}

}  // namespace halftone::internal
