#include "report/outcome.hpp"

#include "halftone/core/error.hpp"
#include "report/measured_ratio.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

namespace halftone::internal {
namespace {

/// "Stopped on request"
std::string stopped(const RunResult& run) {
  return "Stopped " + (run.stop_reason.empty() ? "on request" : run.stop_reason);
}

/// Whether the measurement leaves open if the plan is as fast as asked for: its 95 % interval includes the limit.
bool is_within_noise(const RunResult& run) {
  if (!run.latency_target || !run.measured || !run.latency_measured) return false;
  const Timing& plan = run.measured->plan;
  const auto [limit, change] = *run.latency_target;
  if (change == 0) return plan.low <= limit && limit <= plan.high;
  const auto found = ratio(plan, run.measured->baseline);
  return found && found->low <= 1 + change && 1 + change <= found->high;
}

std::string lead(const RunResult& run) {
  const char* noise = is_within_noise(run) ? ", though within the measurement's noise" : "";
  if (run.status == RunStatus::Met) return message("Met", noise, ": ");
  if (run.status == RunStatus::Stopped && !run.unsearched.empty())
    return message(stopped(run), "; for ", asked_for(run, run.gate), " no search was made: ", run.unsearched,
                   ". The best plan known: ");
  if (run.status == RunStatus::Stopped) return stopped(run) + ". The best plan so far: ";
  if (run.latency_target) return message("Missed", noise, ", no plan is as fast as asked for. The fastest found: ");
  if (run.gate.kind == GateKind::Damage) return "Missed, no plan does as little damage. The best found: ";
  return "Missed, no plan keeps enough. The best found: ";
}

/// "4,589 correct, 4,592 at 16 bits; 95 % interval 99.88 to 99.98 %"
std::string evidence(const RunResult& run, const ScoreText& scores) {
  const Evaluation& result = run.result.evaluation;
  const std::string interval = result.ended_early()
                                   ? message("; scoring ended after ", grouped(result.samples - result.unscored),
                                             " of ", grouped(result.samples), " samples, when that was certain")
                                   : "; 95 % interval " + scores.interval(result);
  const Evaluation& baseline = run.baseline.evaluation;
  if (!scores.is_accuracy())
    return message(scores.score(result), ", ", scores.score(baseline), " at 16 bits", interval);
  return message(scores.correct(result), " correct, ", scores.correct(baseline), " at 16 bits", interval);
}

std::string kept(const RunResult& run, const ScoreText& scores) {
  return message("keeps ", scores.kept(run.result.evaluation, run.baseline.evaluation), " of the ", scores.noun());
}

/// By how much latency changes, as far as it is known.
std::string latency_reached(const RunResult& run) {
  std::string text = message(run.latency_measured ? "predicted " : "modelled ",
                             change(run.baseline.predicted_latency, run.result.predicted_latency));
  if (!run.measured) return text + " against 16 bits";
  const Timing& plan = run.measured->plan;
  text += message(", measured ", measured_change(plan, run.measured->baseline), " against 16 bits");
  const std::string interval = measured_interval(plan, run.measured->baseline);
  if (run.latency_target->change == 0)
    text += message(" (", with_unit(plan.minimum, "ms"), ", median ", with_unit(plan.median, "ms"), ')');
  else if (!interval.empty())
    text += message(" (95 % interval ", interval, ')');
  return text;
}

/// What the plan does, beside what was asked for.
std::string achievement(const RunResult& run) {
  const ScoreText scores(run);
  const Evaluation& result = run.result.evaluation;
  const std::string asked = asked_for(run, run.gate);
  if (run.latency_target)
    return message("its latency is ", latency_reached(run), ", ", asked, " asked for; ", kept(run, scores), ", damage ",
                   scores.damage(result), " (", evidence(run, scores), ")");
  if (run.gate.kind == GateKind::Damage)
    return message("does ", scores.damage(result), " damage, ", asked, " asked for; ", kept(run, scores), " (",
                   evidence(run, scores), ")");
  std::string sure;
  if (run.gate.kind == GateKind::Confidence && !result.ended_early() && run.baseline.evaluation.score > 0) {
    Evaluation least = result;
    least.score -= score_margin(result);
    sure = ", with 95 % confidence at least " + scores.kept(least, run.baseline.evaluation);
  }
  return message(kept(run, scores), sure, ", ", asked, " asked for (", evidence(run, scores), ")");
}

}  // namespace

std::string asked_for(const RunResult& run, const Gate& gate) {
  if (run.latency_target) return to_string(*run.latency_target, run.latency_unit);
  if (gate.kind == GateKind::Damage) return message("at most ", gate.budget);
  return to_string(gate);
}

std::string outcome(const RunResult& run) {
  if (run.baseline.evaluation.samples == 0)
    return message(stopped(run), " before the 16-bit baseline was scored: the plan is ", composition(run.plan),
                   ", and nothing is known about any other.");
  const std::string text = lead(run) + composition(run.plan);
  const std::string noun = ScoreText(run.task).noun();
  if (run.plan != Plan::uniform(run.plan.size(), k16)) return text + "; " + achievement(run) + '.';
  const std::string what = run.latency_target ? "plan within " + asked_for(run, run.gate)
                           : run.gate.kind == GateKind::Damage
                               ? message("faster plan that does ", asked_for(run, run.gate), " damage")
                               : message("faster plan that keeps ", to_string(run.gate), " of the ", noun);
  return message(text, ", the baseline itself: no ", what, " was found.");
}

}  // namespace halftone::internal
