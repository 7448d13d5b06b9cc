#include "report/caveats.hpp"

#include <algorithm>
#include <cmath>

#include "halftone/core/error.hpp"
#include "halftone/evaluate/gate.hpp"
#include "report/measured_ratio.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

namespace halftone::internal {
namespace {

std::string percent_asked(const RunResult& run) { return to_string(Gate{.keep = run.gate.keep}); }

/// `number` with one digit, rounded up.
std::string about(double number) {
  const double rounding = std::pow(10, std::floor(std::log10(number)));
  return grouped(std::llround(std::ceil(number / rounding) * rounding));
}

/// Samples of which the gate's margin is at most `allowed`, where as large a share of them differs.
double samples_to_certify(const Evaluation& result, double allowed) {
  const auto margin = [&](double samples) {
    Evaluation other = result;
    other.samples = std::llround(samples);
    other.score_error *= std::sqrt(static_cast<double>(result.samples) / samples);
    return score_margin(other);
  };
  constexpr double kMost = 1e15;
  double samples = static_cast<double>(result.samples);
  while (samples < kMost && margin(samples) > allowed) samples *= 1.05;
  return samples;
}

/// What certifying takes, where there are fewer samples than that. Source: docs/methods.md, section 6.
void add_certifying(const RunResult& run, std::vector<std::string>& found) {
  Evaluation result = run.result.evaluation;
  // Where no plan could be certified the result is the baseline, which differs from itself in nothing.
  if (run.task.starts_with("top")) result.score_span = 1;
  const double allowed = (1 - run.gate.keep) * run.baseline.evaluation.score;
  if (result.samples == 0 || result.ended_early() || !(allowed > 0) || score_margin(result) <= allowed) return;
  found.push_back(message("Certifying ", percent_asked(run), " of the score takes about ",
                          about(samples_to_certify(result, allowed)),
                          " samples for a plan that changes as many answers as this one and loses none on balance; "
                          "there are ",
                          grouped(result.samples), ". Use more validation data, keep less, or use --gate damage."));
}

/// Whether the validation data is enough to tell a plan that keeps the share asked for from one that does not.
/// Source: docs/methods.md, section 6.
void add_resolution(const RunResult& run, std::vector<std::string>& found) {
  const Evaluation& baseline = run.baseline.evaluation;
  // Damage is a mean of what every sample shows, and resolves where single answers do not.
  if (baseline.samples == 0 || run.gate.kind == GateKind::Damage || run.latency_target) return;
  if (run.gate.kind == GateKind::Confidence) return add_certifying(run, found);
  const double tolerance = 1 - run.gate.keep;
  const double allowed = tolerance * baseline.score_count;
  if (run.task.starts_with("top") && allowed < 1) {
    found.push_back(message("The data cannot resolve ", to_string(run.gate), ": of ",
                            grouped(std::llround(baseline.score_count)), " correct answers the plan may lose ",
                            significant(allowed, 2),
                            ", less than one: any single net loss fails. Use --gate damage or more validation "
                            "data, or keep less."));
    return;
  }
  const Interval& interval = run.result.evaluation.interval;
  // Where no sample's score changed the interval has no width, yet as many as three in n could change: the rule of
  // three.
  const double least = run.task.starts_with("top") ? 3 / baseline.score_count : 0;
  const double half = std::max((interval.high - interval.low) / 2, least);
  constexpr double kMuchWider = 2;
  if (run.result.evaluation.samples == 0 || run.result.evaluation.ended_early() || tolerance <= 0 ||
      half <= kMuchWider * tolerance)
    return;
  // The interval narrows with the square root of the samples.
  const double needed = static_cast<double>(baseline.samples) * (half / tolerance) * (half / tolerance);
  found.push_back(message("The data hardly resolves ", to_string(run.gate), ": the score kept is known to +-",
                          percent(half), ", the loss allowed is ", percent(tolerance, tolerance < 1e-3 ? 3 : 2),
                          ". About ", about(needed), " samples would make them equal; there are ",
                          grouped(baseline.samples), "."));
}

/// The search saw the validation data often; what it chose may have been lucky there.
void add_report_part(const RunResult& run, std::vector<std::string>& found) {
  if (!run.result.report || !run.baseline.report || !(run.baseline.report->score > 0)) return;
  if (run.status != RunStatus::Met || run.latency_target) return;
  const Evaluation& report = *run.result.report;
  const std::string start = "On the report part, which chose nothing, the plan ";
  if (run.gate.kind == GateKind::Damage) {
    if (!run.gate.passes(report, *run.baseline.report))
      found.push_back(message(start, "does ", ScoreText(run).damage(report), " damage, more than ", run.gate.budget,
                              ": expect as much on new data."));
    return;
  }
  if (Gate{.keep = run.gate.keep}.passes(report, *run.baseline.report)) return;
  const bool clear = report.interval.high < run.gate.keep;
  found.push_back(message(start, "keeps ", ScoreText(run).kept(report, *run.baseline.report), ", less than ",
                          percent_asked(run),
                          clear ? ": expect it to miss the target on new data."
                                : "; its 95 % interval includes what was asked for, so this may be chance."));
}

void add_data_parts(const RunResult& run, std::vector<std::string>& found) {
  if (run.calibration_data.digest == run.validation_data.digest)
    found.push_back("Calibration and validation data are the same samples: ranges are fitted to what scores them.");
  if (!run.report_data) {
    found.push_back(
        "There is no report part: the validation data chose the plan and also scores it, so that its score is a little "
        "flattered. Give --report DATA, or set some of the validation data aside with --report 20%.");
  } else if (run.report_data->digest == run.validation_data.digest) {
    found.push_back("The report part is the validation data: its score is no independent one.");
  } else if (run.report_data->digest == run.calibration_data.digest) {
    found.push_back("The report part is the calibration data: its score is no independent one.");
  }
}

/// Where 16 bits are fast, as on CPUs with matrix units for bfloat16, fewer bits may take as long.
void add_speed(const RunResult& run, std::vector<std::string>& found) {
  if (!run.measured || run.latency_target || run.plan == Plan::uniform(run.plan.size(), k16)) return;
  const auto measured = ratio(run.measured->plan, run.measured->baseline);
  if (!measured || !measured->is_known() || (measured->differs() && measured->value < 1)) return;
  found.push_back(message("Measured side by side, the plan is no faster here than all at 16 bits (",
                          measured_change(run.measured->plan, run.measured->baseline), "; 95 % interval ",
                          measured_interval(run.measured->plan, run.measured->baseline),
                          "): what it saves is memory. Other machines may differ."));
}

}  // namespace

std::vector<std::string> caveats(const RunResult& run) {
  std::vector<std::string> found;
  if (run.result.evaluation.samples == 0) return found;  // no claim, no caveat
  add_speed(run, found);
  add_report_part(run, found);
  add_resolution(run, found);
  add_data_parts(run, found);
  return found;
}

}  // namespace halftone::internal
