#include <nlohmann/json.hpp>

#include <set>

#include "core/json_field.hpp"
#include "halftone/core/file.hpp"
#include "halftone/report/run_file.hpp"
#include "report/parse_fields.hpp"
#include "report/parse_figures.hpp"
#include "report/parse_settings.hpp"
#include "report/rules_json.hpp"

namespace halftone {
namespace {

using namespace internal;
using nlohmann::json;

constexpr int kVersion = 1;
constexpr std::int64_t kMostSites = 100'000;

RunStatus read_status(const JsonField& field) {
  return read_choice(field, {RunStatus::Met, RunStatus::Missed, RunStatus::Stopped});
}

std::vector<std::int64_t> read_sizes(const JsonField& field) {
  std::vector<std::int64_t> sizes;
  field.each_element([&](const JsonField& size) { sizes.push_back(size.integer(0)); });
  return sizes;
}

/// As it is at batch 1: nothing more is written.
Shape read_shape(const JsonField& field) {
  Shape shape;
  for (const std::int64_t size : read_sizes(field)) shape.push_back({size, 0});
  return shape;
}

void read_site(const JsonField& field, RunResult& run) {
  Site site;
  site.name = field.need("name").text();
  site.kind =
      read_choice(field.need("kind"), {SiteKind::Convolution, SiteKind::Linear, SiteKind::Addition, SiteKind::Product});
  site.input_shape = read_shape(field.need("input_shape"));
  site.output_shape = read_shape(field.need("output_shape"));
  site.weight_shape = read_sizes(field.need("weight_shape"));
  site.weight = site.weight_shape.empty() ? -1 : 0;
  site.groups = field.need("groups").integer(0);
  site.macs = field.need("macs").integer(0);
  site.weight_elements = field.need("weight_elements").integer(0);
  if (const auto peak = field.find("activation_peak"))
    run.activations.push_back(
        {.peak = peak->number_not_negative(), .error = field.need("activation_error_at_8").number_not_negative()});
  if (const auto saving = field.find("saving")) run.site_saving.push_back(saving->number());
  run.sites.push_back(std::move(site));
}

void read_sites(const JsonField& field, RunResult& run) {
  std::set<std::string> names;
  field.each_element([&](const JsonField& entry) {
    if (std::ssize(run.sites) == kMostSites) field.fail(message("at most ", kMostSites, " sites are possible"));
    read_site(entry, run);
    if (!names.insert(run.sites.back().name).second) entry.need("name").fail("it is listed twice");
  });
  if (run.sites.empty()) field.fail("at least one site is needed");
  if (!run.activations.empty() && run.activations.size() != run.sites.size())
    field.fail("an \"activation_peak\" is needed for every site or for none");
  if (!run.site_saving.empty() && run.site_saving.size() != run.sites.size())
    field.fail("a \"saving\" is needed for every site or for none");
}

Gate read_gate(const JsonField& field) {
  if (!field.find("gate")) return {};  // a latency was asked for instead
  Gate gate{.kind = read_choice(field.need("gate"), {GateKind::Point, GateKind::Confidence, GateKind::Damage})};
  if (gate.kind == GateKind::Damage)
    gate.budget = field.need("budget").positive_number();
  else
    gate.keep = field.need("keep").positive_number(1);
  return gate;
}

std::vector<Decision> read_decisions(const JsonField& field) {
  std::vector<Decision> decisions;
  field.each_element([&](const JsonField& entry) {
    decisions.push_back({.plan_digest = entry.need("plan_digest").text_or_empty(),
                         .passed = entry.need("passed").truth(),
                         .text = entry.need("text").text_or_empty()});
  });
  return decisions;
}

/// Earlier versions wrote no turns of targets.
std::optional<Timing> read_target_timing(const JsonField& field) {
  const auto measured = field.find("measured");
  return measured ? read_timing(*measured) : read_latency_timing(field.need("result"));
}

/// The last is the run's own result, whose decisions stand nowhere else.
void read_targets(const JsonField& field, RunResult& run) {
  field.each_element([&](const JsonField& entry) {
    run.looser.push_back({.gate = read_gate(entry),
                          .status = read_status(entry.need("status")),
                          .plan = read_plan(entry.need("plan"), run.sites),
                          .figures = read_plan_figures(entry.need("result"), run.task),
                          .measured = read_target_timing(entry),
                          .decisions = read_decisions(entry.need("decisions")),
                          .unsearched = text_if_any(entry, "unsearched")});
  });
  if (run.looser.empty()) field.fail("at least one target is needed");
  run.decisions = std::move(run.looser.back().decisions);
  run.unsearched = std::move(run.looser.back().unsearched);
  run.looser.pop_back();
}

LatencyTarget read_latency_target(const JsonField& field) {
  LatencyTarget target;
  if (const auto change = field.find("change"))
    target.change = change->number();
  else
    target.limit = field.need("limit").positive_number();
  return target;
}

void read_steps(const JsonField& field, RunResult& run) {
  field.each_element([&](const JsonField& entry) {
    SearchStep step{.plan = read_plan_words(entry.need("plan"), run.sites.size()),
                    .evaluation = read_evaluation(entry, run.task),
                    .latency = entry.need("latency").number_not_negative(),
                    .decision = entry.need("decision").text_or_empty()};
    step.evaluation.plan_digest = entry.need("plan_digest").text_or_empty();
    step.evaluation.passed = entry.need("passed").truth();
    step.evaluation.seconds = entry.need("seconds").number_not_negative();
    run.steps.push_back(std::move(step));
  });
}

DataPart read_data(const JsonField& field) {
  return {.name = field.need("name").text_or_empty(),
          .digest = field.need("digest").text_or_empty(),
          .samples = field.need("samples").integer(0)};
}

void read_scores(const JsonField& field, RunResult& run) {
  run.float_score = read_evaluation(field.need("float"), run.task);
  run.baseline = read_plan_figures(field.need("baseline"), run.task);
  run.result = read_plan_figures(field.need("result"), run.task);
  run.scored_in = field.need("scored_in").text_or_empty();
  if (const auto other = field.find("other_score")) {
    run.other_score.emplace();
    run.other_score->scored_in = other->need("scored_in").text_or_empty();
    run.other_score->evaluation = read_evaluation(*other, run.task);
    if (const auto same = other->find("same_samples"))
      run.other_score->same_samples = {.baseline = read_evaluation(same->need("baseline"), run.task),
                                       .plan = read_evaluation(same->need("plan"), run.task)};
  }
  if (const auto report = field.find("report")) {
    run.result.report = read_evaluation(*report, run.task);
    if (const auto baseline = report->find("baseline")) run.baseline.report = read_evaluation(*baseline, run.task);
  }
  const JsonField latency = field.need("baseline").need("latency_ms");
  run.latency_origin = latency.need("origin").text_or_empty();
  run.latency_unit = latency.need("unit").text_or_empty();
  field.need("uniform_latency").each_precision([&](Precision precision, const JsonField& value) {
    run.uniform_latency[to_string(precision)] = value.number_not_negative();
  });
}

/// `table` has scores by the sites' names.
SensitivityTable read_sensitivity(json table, const JsonField& field, const std::vector<Site>& sites) {
  json scores = json::array();
  for (const Site& site : sites) {
    const JsonField unused = field.need("scores").need(site.name);
    scores.push_back(table["scores"][site.name]);
  }
  if (scores.size() != table["scores"].size()) field.need("scores").fail("it has scores of sites that are not there");
  table["scores"] = std::move(scores);
  return table.get<SensitivityTable>();
}

/// In the order of "stages"; earlier versions wrote none.
void read_seconds(const JsonField& field, RunResult& run) {
  const JsonField seconds = field.need("seconds");
  const auto stages = field.find("stages");
  if (!stages)
    return seconds.each_member([&](const std::string& stage, const JsonField& value) {
      run.seconds.emplace_back(stage, value.number_not_negative());
    });
  std::set<std::string> names;
  stages->each_element([&](const JsonField& stage) {
    if (!names.insert(stage.text()).second) stage.fail("it is listed twice");
    run.seconds.emplace_back(stage.text(), seconds.need(stage.text()).number_not_negative());
  });
  seconds.each_member([&](const std::string& stage, const JsonField& value) {
    if (!names.contains(stage)) value.fail("it is no stage that \"stages\" lists");
  });
}

void read_rest(const JsonField& field, RunResult& run) {
  run.notes.clear();
  field.need("notes").each_element([&](const JsonField& note) { run.notes.push_back(note.text_or_empty()); });
  const JsonField data = field.need("data");
  run.calibration_data = read_data(data.need("calibration"));
  run.validation_data = read_data(data.need("validation"));
  if (const auto report = data.find("report")) run.report_data = read_data(*report);
  if (const auto training = data.find("training")) run.training_data = read_data(*training);
  run.forward_passes = field.need("passes").need("forward").number_not_negative();
  run.backward_passes = field.need("passes").need("backward").number_not_negative();
  read_seconds(field, run);
  field.need("environment").each_member([&](const std::string& name, const JsonField& value) {
    run.environment[name] = value.text_or_empty();
  });
}

}  // namespace

RunResult parse_run_json(const std::string& text, const std::string& place) {
  const json object = parse_json(text, place);
  const JsonField field(object, place);
  if (object.is_object() && !field.has("evaluations") && field.has("sites"))
    throw Error(Errc::BadFile, message(place,
                                       " is no run.json, which says what a run found out: has it been mistaken "
                                       "for plan.json or sensitivity.json beside it?"));
  if (field.need("version").integer(1) != kVersion)
    field.need("version").fail(message("this program reads version ", kVersion));
  RunResult run;
  run.status = read_status(field.need("status"));
  run.stop_reason = text_if_any(field, "stop_reason");
  run.model = field.need("model").text_or_empty();
  run.model_digest = field.need("model_digest").text_or_empty();
  read_sites(field.need("sites"), run);
  run.plan = read_plan(field.need("plan"), run.sites);
  run.gate = read_gate(field);
  if (const auto target = field.find("latency_target")) run.latency_target = read_latency_target(*target);
  read_options(field.need("options"), run);  // before figures: limits of scores are the task's
  if (const auto targets = field.find("targets")) read_targets(*targets, run);
  if (const auto rules = field.find("rules")) read_rules(*rules, run);
  read_engine(field, run);
  read_scores(field, run);
  read_steps(field.need("evaluations"), run);
  if (const auto ranges = field.find("ranges")) read_ranges(*ranges, run);
  if (const auto finishing = field.find("finishing")) read_finishing(*finishing, run);
  if (const auto table = field.find("sensitivity"))
    run.sensitivity = read_sensitivity(object["sensitivity"], *table, run.sites);
  read_rest(field, run);
  return run;
}

RunResult read_run(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto file = std::filesystem::is_directory(path, ignored) ? path / "run.json" : path;
  return parse_run_json(read_text(file), message('"', file.string(), '"'));
}

}  // namespace halftone
