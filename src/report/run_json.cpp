#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <map>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/plan/plan_file.hpp"
#include "halftone/report/html_report.hpp"
#include "halftone/report/run_file.hpp"
#include "halftone/report/run_result.hpp"
#include "report/evaluation_json.hpp"
#include "report/frontier.hpp"
#include "report/measured_ratio.hpp"
#include "report/rules_json.hpp"
#include "report/text.hpp"

namespace halftone {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

/// `timing` null: not measured. What was measured stands beside what it can be compared with only: milliseconds, of as
/// many samples; all of it is in "measured".
json latency_json(const RunResult& run, double predicted, const Timing* timing) {
  const bool comparable =
      timing != nullptr && run.measured && run.latency_unit == "ms" && run.latency_batch == run.measured->batch;
  json object = {{"predicted", predicted > 0 ? json(predicted) : json()},  // unknown where stopped early
                 {"unit", run.latency_unit},
                 {"model", run.latency_model},
                 {"origin", run.latency_origin},
                 {"batch", run.latency_batch > 0 ? json(run.latency_batch) : json()},
                 {"measured", nullptr},
                 {"median", nullptr},
                 {"spread", nullptr},
                 {"engine", nullptr},
                 {"threads", nullptr}};
  if (comparable)
    object.update({{"measured", timing->minimum},
                   {"median", timing->median},
                   {"spread", timing->spread},
                   {"engine", run.engine->full_name()},
                   {"threads", run.engine->threads}});
  return object;
}

json figures_json(const RunResult& run, const PlanFigures& figures, const Timing* timing) {
  json object = internal::figures_json(figures.evaluation);
  object["latency_ms"] = latency_json(run, figures.predicted_latency, timing);
  return object;
}

/// Null where there were too few turns for an interval.
json interval_json(double low, double high) {
  return std::isfinite(low) && std::isfinite(high) ? json({low, high}) : json();
}

json timing_json(const Timing& timing, const Timing& baseline) {
  json of_baseline;
  if (const auto ratio = internal::ratio(timing, baseline))
    of_baseline = {{"value", ratio->value}, {"interval", interval_json(ratio->low, ratio->high)}};
  return {{"minimum", timing.minimum},
          {"median", timing.median},
          {"interval", interval_json(timing.low, timing.high)},
          {"spread", timing.spread},
          {"passes", timing.passes},
          {"turns", timing.samples},
          {"of_baseline", std::move(of_baseline)}};
}

/// Milliseconds, of networks that ran in turn.
json measured_json(const RunResult& run) {
  if (!run.measured) return nullptr;
  const EngineTimes& times = *run.measured;
  json uniform = json::object();
  for (const auto& [precision, timing] : times.uniform) uniform[precision] = timing_json(timing, times.baseline);
  return {{"engine", run.engine->full_name()},
          {"batch", times.batch},
          {"threads", run.engine->threads},
          {"float_type", run.engine->float_type},
          {"load", times.load},
          {"precise", times.precise},
          {"baseline", timing_json(times.baseline, times.baseline)},
          {"plan", timing_json(times.plan, times.baseline)},
          {"uniform", std::move(uniform)}};
}

json engine_json(const RunResult& run) {
  if (!run.engine) return nullptr;
  return {{"name", run.engine->name},
          {"version", run.engine->version},
          {"threads", run.engine->threads},
          {"float_type", run.engine->float_type}};
}

json other_score_json(const RunResult& run) {
  if (!run.other_score) return nullptr;
  json object = internal::figures_json(run.other_score->evaluation);
  object["scored_in"] = run.other_score->scored_in;
  if (const auto& same = run.other_score->same_samples)
    object["same_samples"] = {{"baseline", internal::figures_json(same->baseline)},
                              {"plan", internal::figures_json(same->plan)}};
  return object;
}

json report_json(const RunResult& run) {
  if (!run.result.report) return nullptr;
  json object = internal::figures_json(*run.result.report);
  object["baseline"] = run.baseline.report ? internal::figures_json(*run.baseline.report) : json();
  return object;
}

json evaluation_json(const SearchStep& step) {
  std::map<std::string, int> counts;
  for (const Precision precision : step.plan.precisions) ++counts[to_string(precision)];
  json object = internal::figures_json(step.evaluation);
  object.update({{"plan_digest", step.evaluation.plan_digest},
                 {"passed", step.evaluation.passed},
                 {"seconds", step.evaluation.seconds},
                 {"latency", step.latency},
                 {"decision", step.decision},
                 {"plan", to_string(step.plan)},
                 {"sites_at", counts}});
  return object;
}

json data_json(const DataPart& part) {
  return {{"name", part.name}, {"digest", part.digest}, {"samples", part.samples}};
}

json options_json(const RunResult& run) {
  json precisions = json::array();
  for (const Precision precision : run.precisions) precisions.push_back(to_string(precision));
  json gates = json::array();
  for (const TargetResult& target : run.looser) gates.push_back(to_string(target.gate));
  if (!run.latency_target) gates.push_back(to_string(run.gate));
  json options = {
      {"model", run.model},
      {"calibrate", run.calibration_data.name},
      {"validate", run.validation_data.name},
      {"report", run.report_data ? json(run.report_data->name) : json()},
      {"task", run.task},
      {"gates", std::move(gates)},
      {"latency_target", run.latency_target ? json(to_string(*run.latency_target, run.latency_unit)) : json()},
      {"most_evaluations", run.limits.most_evaluations},
      {"most_seconds", run.limits.most_seconds},
      {"repairs", run.limits.repairs},
      {"metric", run.metric},
      {"sensitivity", run.sensitivity_file.empty() ? json() : json(run.sensitivity_file)},
      {"order", run.order},
      {"search", run.search},
      {"latency", run.latency_model},
      {"batch", run.latency_batch > 0 ? json(run.latency_batch) : json()},
      {"precisions", precisions},
      {"range_input", run.range_input},
      {"range_weight", run.range_weight},
      {"adjust", run.adjust_ranges},
      {"eval_batch", run.batch_size},
      {"threads", run.threads},
      {"seed", run.seed},
      {"evaluate", run.scored_in == "simulation" ? "simulated" : "deployed"},
      {"engine", nullptr},
      {"engine_threads", nullptr},
      {"float", nullptr}};
  if (run.engine)
    options.update(
        {{"engine", run.engine->name}, {"engine_threads", run.engine->threads}, {"float", run.engine->float_type}});
  for (const auto& [name, value] : run.model_options) options[name] = value;
  return options;
}

json adjustment_json(const RangeAdjustment& adjustment) {
  json checks = json::array();
  for (const auto& check : adjustment.checks)
    checks.push_back({{"step", check.step}, {"training", check.training}, {"held_out", check.held_out}});
  return {{"plan", adjustment.plan},
          {"damage_before", adjustment.damage_before},
          {"damage_after", adjustment.damage_after},
          {"held_out", adjustment.held_out},
          {"trained_on", adjustment.trained_on},
          {"bounds", adjustment.bounds},
          {"steps", adjustment.steps},
          {"step_kept", adjustment.step_kept},
          {"checks", std::move(checks)},
          {"passes", {{"forward", adjustment.forward_passes}, {"backward", adjustment.backward_passes}}},
          {"seconds", adjustment.seconds},
          {"stopped", adjustment.stopped}};
}

/// Null where the network was not fine-tuned.
json finishing_json(const RunResult& run) {
  if (!run.finishing) return nullptr;
  json object = adjustment_json(run.finishing->descent);
  object.update({{"tensors", run.finishing->tensors},
                 {"values", run.finishing->values},
                 {"label_share", run.finishing->label_share},
                 {"finished_digest", run.finishing->model_digest},
                 {"kept", run.finishing->kept}});
  return object;
}

/// How ranges came about beyond what each tensor says by itself.
json ranges_json(const RunResult& run) {
  json methods = json::array();
  for (const WeightMethodChoice& choice : run.weight_methods) {
    json damage = json::object();
    for (const auto& trial : choice.trials) damage[to_string(trial.method)] = trial.damage;
    methods.push_back({{"bits", choice.bits},
                       {"precision", to_string(choice.precision)},
                       {"chosen", to_string(choice.chosen)},
                       {"damage", std::move(damage)},
                       {"samples", choice.samples}});
  }
  json adjustments = json::array();
  for (const RangeAdjustment& adjustment : run.adjustments) adjustments.push_back(adjustment_json(adjustment));
  return {{"weight_methods", std::move(methods)}, {"adjustments", std::move(adjustments)}};
}

json sensitivity_json(const RunResult& run) {
  if (run.sensitivity.scores.empty()) return nullptr;  // not needed, or stopped before
  json object = run.sensitivity;
  json scores = json::object();
  for (std::size_t i = 0; i < run.sensitivity.scores.size() && i < run.sites.size(); ++i)
    scores[run.sites[i].name] = std::move(object["scores"][i]);
  object["scores"] = std::move(scores);
  return object;
}

json sites_json(const RunResult& run) {
  json sites = json::array();
  for (std::size_t i = 0; i < run.sites.size(); ++i) {
    const Site& site = run.sites[i];
    sites.push_back({{"name", site.name},
                     {"kind", to_string(site.kind)},
                     {"precision", to_string(run.plan[i])},
                     {"input_shape", sizes_at(site.input_shape, {1})},
                     {"weight_shape", site.weight_shape},
                     {"output_shape", sizes_at(site.output_shape, {1})},
                     {"groups", site.groups},
                     {"macs", site.macs},
                     {"weight_elements", site.weight_elements},
                     {"activation_peak", i < run.activations.size() ? json(run.activations[i].peak) : json()},
                     {"activation_error_at_8", i < run.activations.size() ? json(run.activations[i].error) : json()},
                     {"saving", i < run.site_saving.size() ? json(run.site_saving[i]) : json()}});
  }
  return sites;
}

json plan_json(const RunResult& run, const Plan& of) {
  json plan = json::object();
  for (std::size_t i = 0; i < run.sites.size(); ++i) plan[run.sites[i].name] = to_string(of[i]);
  return plan;
}

/// "keep" and "budget" are null where the gate has no such limit, all three where a latency was asked for instead.
json gate_json(const RunResult& run, const Gate& gate) {
  if (run.latency_target) return {{"gate", nullptr}, {"keep", nullptr}, {"budget", nullptr}};
  const bool is_damage = gate.kind == GateKind::Damage;
  return {{"gate", to_string(gate.kind)},
          {"keep", is_damage ? json() : json(gate.keep)},
          {"budget", is_damage ? json(gate.budget) : json()}};
}

json target_json(const RunResult& run, const TargetResult& target) {
  json decisions = json::array();
  for (const Decision& decision : target.decisions)
    decisions.push_back({{"plan_digest", decision.plan_digest}, {"passed", decision.passed}, {"text", decision.text}});
  json object = gate_json(run, target.gate);
  object.update(
      {{"status", to_string(target.status)},
       {"result", figures_json(run, target.figures, target.measured ? &*target.measured : nullptr)},
       {"plan", plan_json(run, target.plan)},
       {"decisions", std::move(decisions)},
       {"measured", target.measured && run.measured ? timing_json(*target.measured, run.measured->baseline) : json()},
       {"unsearched", target.unsearched.empty() ? json() : json(target.unsearched)}});
  return object;
}

/// Loosest first; the last is the run's own result.
json targets_json(const RunResult& run) {
  json targets = json::array();
  for (const TargetResult& target : all_targets(run)) {
    targets.push_back(target_json(run, target));
    const bool is_last = targets.size() > run.looser.size();
    targets.back()["plan_file"] = is_last ? "plan.json" : plan_file_name(target.gate);
  }
  return targets;
}

/// Plan digests, fastest first.
json frontier_digests(const RunResult& run) {
  json digests = json::array();
  for (const std::size_t step : internal::frontier(run)) digests.push_back(run.steps[step].evaluation.plan_digest);
  return digests;
}

json latency_target_json(const RunResult& run) {
  if (!run.latency_target) return nullptr;
  const LatencyTarget& target = *run.latency_target;
  return {{"limit", target.change != 0 ? json() : json(target.limit)},
          {"change", target.change != 0 ? json(target.change) : json()},
          {"unit", run.latency_unit}};
}

/// In the order in which they ran, which an object does not keep.
json stages_json(const RunResult& run) {
  json stages = json::array();
  for (const auto& [stage, unused] : run.seconds) stages.push_back(stage);
  return stages;
}

json seconds_json(const RunResult& run) {
  json seconds = json::object();
  for (const auto& [stage, duration] : run.seconds) seconds[stage] = duration;
  return seconds;
}

}  // namespace

json to_run_json(const RunResult& run) {
  json evaluations = json::array();
  for (const SearchStep& step : run.steps) evaluations.push_back(evaluation_json(step));
  json object = {{"version", kVersion},
                 {"status", to_string(run.status)},
                 {"stop_reason", run.stop_reason.empty() ? json() : json(run.stop_reason)},
                 {"latency_target", latency_target_json(run)},
                 {"targets", targets_json(run)},
                 {"frontier", frontier_digests(run)},
                 {"model", run.model},
                 {"model_digest", run.model_digest},
                 {"float", internal::figures_json(run.float_score)},
                 {"scored_in", run.scored_in},
                 {"baseline", figures_json(run, run.baseline, run.measured ? &run.measured->baseline : nullptr)},
                 {"result", figures_json(run, run.result, run.measured ? &run.measured->plan : nullptr)},
                 {"other_score", other_score_json(run)},
                 {"engine", engine_json(run)},
                 {"measured", measured_json(run)},
                 {"notes", run.notes},
                 {"report", report_json(run)},
                 {"plan", plan_json(run, run.plan)},
                 {"uniform_latency", run.uniform_latency},
                 {"evaluations", std::move(evaluations)},
                 {"passes", {{"forward", run.forward_passes}, {"backward", run.backward_passes}}},
                 {"stages", stages_json(run)},
                 {"seconds", seconds_json(run)},
                 {"options", options_json(run)},
                 {"environment", run.environment},
                 {"data",
                  {{"calibration", data_json(run.calibration_data)},
                   {"validation", data_json(run.validation_data)},
                   {"report", run.report_data ? data_json(*run.report_data) : json()}}},
                 {"finishing", finishing_json(run)},
                 {"ranges", ranges_json(run)},
                 {"sensitivity", sensitivity_json(run)},
                 {"sites", sites_json(run)}};
  if (run.training_data) object["data"]["training"] = data_json(*run.training_data);
  object.update(gate_json(run, run.gate));
  if (!run.rules.empty()) object["rules"] = internal::rules_json(run);
  return object;
}

/// Those that the run.json in `directory` lists.
static void remove_looser_plans(const std::filesystem::path& directory) {
  try {
    std::error_code ignored;
    for (const TargetResult& target : read_run(directory).looser)
      std::filesystem::remove(directory / plan_file_name(target.gate), ignored);
  } catch (const Error&) {
    // there is none, or none that can be read
  }
}

void write_run(const RunResult& result, const std::string& directory) {
  const std::filesystem::path path(directory);
  // Everything is made before anything is written.
  const auto plan_file = [&](const Plan& plan, const Calibration& ranges) {
    return make_plan_file(result.sites, plan, ranges, result.model_digest);
  };
  PlanFile own = plan_file(result.plan, result.finished_ranges.value_or(result.calibration));
  if (result.finished_ranges) own.finished_digest = result.finishing->model_digest;
  std::map<std::string, std::string> plans{{"plan.json", to_text(own)}};
  for (const TargetResult& target : result.looser)
    plans[plan_file_name(target.gate)] = to_text(plan_file(target.plan, result.calibration));
  const std::string run = to_run_json(result).dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  const std::string report = text_report(result);
  const std::string page = html_report(result);
  require_writable(path);
  remove_looser_plans(path);
  std::error_code ignored;
  std::filesystem::remove(path / "run.json", ignored);
  for (const auto& [name, text] : plans) write_atomically(path / name, text);
  write_atomically(path / "report.txt", report);
  write_atomically(path / "report.html", page);
  write_atomically(path / "run.json", run);  // last: where it is, the others are
}

}  // namespace halftone
