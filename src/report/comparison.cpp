#include "report/comparison.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <utility>

#include "halftone/core/error.hpp"
#include "report/evaluation_json.hpp"
#include "report/measured_ratio.hpp"
#include "report/outcome.hpp"
#include "report/text_summary.hpp"

namespace halftone::internal {
namespace {

using nlohmann::json;
using Align = TextTable::Align;

/// How latency was measured; empty where it was not.
std::string engine_of(const RunResult& run) {
  if (!run.measured) return {};
  return message(run.engine->full_name(), ", ", run.engine->float_type, ", batch ", run.measured->batch, ", ",
                 run.engine->threads, run.engine->threads == 1 ? " thread" : " threads");
}

std::int64_t samples_scored(const RunResult& run) {
  std::int64_t samples = 0;
  for (const SearchStep& step : run.steps) samples += step.evaluation.samples - step.evaluation.unscored;
  return samples;
}

double seconds_of(const RunResult& run) {
  double total = 0;
  for (const auto& [stage, seconds] : run.seconds) total += seconds;
  return total;
}

std::string number_of(std::size_t run) { return std::to_string(run + 1); }

void add_runs(std::span<const NamedRun> runs, Document& document) {
  TextTable table({Align::Right, Align::Left, Align::Left});
  for (std::size_t i = 0; i < runs.size(); ++i)
    table.add({number_of(i), shortened(runs[i].name, 40),
               message(runs[i].run.model, " (digest ", runs[i].run.model_digest, "), ", runs[i].run.sites.size(),
                       " sites, scored on ", grouped(runs[i].run.validation_data.samples), " samples")});
  document.table("Runs", table);
}

void add_quality(std::span<const NamedRun> runs, Document& document) {
  TextTable table({Align::Right, Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Left});
  table.add_head({"run", "target", "", "kept", "95 % interval", "damage", "sites"});
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunResult& run = runs[i].run;
    for (const TargetResult& target : all_targets(run)) {
      const ScoreText scores(run);
      const Evaluation& evaluation = target.figures.evaluation;
      const bool known = evaluation.samples > 0;
      table.add({number_of(i), run.latency_target ? asked_for(run, target.gate) : to_string(target.gate),
                 outcome_word(target), known ? scores.kept(evaluation, run.baseline.evaluation) : "-",
                 known ? scores.interval(evaluation) : "-", known ? scores.damage(evaluation) : "-",
                 short_composition(target.plan)});
    }
  }
  document.table("Quality against all sites at 16 bits, and sites by precision", table);
}

void add_latency(std::span<const NamedRun> runs, Document& document) {
  TextTable table({Align::Right, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left});
  table.add_head({"run", "target", "estimated", "of 16 bits", "measured", "of 16 bits", "in"});
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunResult& run = runs[i].run;
    for (const TargetResult& target : all_targets(run)) {
      const double predicted = target.figures.predicted_latency;
      const bool known = predicted > 0 && run.baseline.predicted_latency > 0;
      table.add(
          {number_of(i), run.latency_target ? asked_for(run, target.gate) : to_string(target.gate),
           known ? message(run.latency_measured ? "predicted " : "modelled ", with_unit(predicted, run.latency_unit))
                 : "-",
           known ? change(run.baseline.predicted_latency, predicted) : "-",
           target.measured ? with_unit(target.measured->median, "ms") : "-",
           target.measured && run.measured ? measured_change(*target.measured, run.measured->baseline) : "-",
           engine_of(run)});
    }
  }
  document.table(
      "Latency; estimated: modelled, or predicted from measurements; measured: the median pass, and the change by "
      "turns "
      "side by side",
      table);
}

void add_effort(std::span<const NamedRun> runs, Document& document) {
  TextTable table(
      {Align::Right, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left});
  table.add_head({"run", "weights", "of 16 bits", "plans", "samples scored", "seconds", "threads", "search"});
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunResult& run = runs[i].run;
    const auto [plan, baseline] = weight_bytes(run);
    table.add({number_of(i), bytes_text(plan), change(baseline, plan), std::to_string(run.steps.size()),
               grouped(samples_scored(run)), fixed(seconds_of(run), 1), std::to_string(run.threads),
               message(run.search, " on ", run.order, " by ", run.metric)});
  }
  document.table(
      "Size, of the strictest target's plan, and effort, for all targets; seconds by the clock, over all stages",
      table);
}

bool have_same_sites(std::span<const NamedRun> runs) {
  const RunResult& first = runs[0].run;
  const auto same_name = [](const Site& a, const Site& b) { return a.name == b.name; };
  return std::all_of(runs.begin(), runs.end(), [&](const NamedRun& other) {
    return other.run.model_digest == first.model_digest &&
           std::equal(other.run.sites.begin(), other.run.sites.end(), first.sites.begin(), first.sites.end(),
                      same_name);
  });
}

void add_differences(std::span<const NamedRun> runs, Document& document) {
  const auto sites = differing_sites(runs);
  if (!have_same_sites(runs)) return;
  if (sites.empty()) return document.paragraph("The plans are the same at every site.");
  std::vector<Align> align{Align::Left};
  TextTable::Row head{"site"};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    align.push_back(Align::Right);
    head.push_back("run " + number_of(i));
  }
  TextTable table(align);
  table.add_head(head);
  for (const std::size_t site : sites) {
    TextTable::Row row{runs[0].run.sites[site].name};
    for (const NamedRun& run : runs) row.push_back(to_string(run.run.plan[site]));
    table.add(std::move(row));
  }
  document.table(message("Bits where plans differ: ", sites.size(), " of ", runs[0].run.sites.size(), " sites"), table);
}

/// Each text once, in order: "a; b".
std::string different(std::span<const NamedRun> runs, const std::function<std::string(const RunResult&)>& of) {
  std::vector<std::string> seen;
  for (const NamedRun& run : runs)
    if (const std::string text = of(run.run); std::find(seen.begin(), seen.end(), text) == seen.end())
      seen.push_back(text);
  if (seen.size() < 2) return {};
  std::string list;
  for (const std::string& text : seen) list += message(list.empty() ? "" : "; ", text.empty() ? "none" : text);
  return list;
}

json target_json(const RunResult& run, const TargetResult& target) {
  json latency{
      {"estimated", target.figures.predicted_latency},
      {"estimate", run.latency_measured ? "predicted" : "modelled"},
      {"unit", run.latency_unit},
      {"measured_ms", target.measured ? json(target.measured->minimum) : json()},
      {"measured_change",
       target.measured && run.measured ? json(measured_change(*target.measured, run.measured->baseline)) : json()}};
  return {{"target", run.latency_target ? asked_for(run, target.gate) : to_string(target.gate)},
          {"gate", run.latency_target ? json() : json(to_string(target.gate.kind))},
          {"status", to_string(target.status)},
          {"figures", figures_json(target.figures.evaluation)},
          {"latency", std::move(latency)}};
}

}  // namespace

std::vector<std::string> obstacles(std::span<const NamedRun> runs) {
  std::vector<std::string> found;
  const auto check = [&](const char* what, const char* why, const std::function<std::string(const RunResult&)>& of) {
    if (const std::string list = different(runs, of); !list.empty())
      found.push_back(message(what, ": the runs differ in ", why, " (", list, ")."));
  };
  check("Nothing here compares", "their model", [](const RunResult& run) { return "digest " + run.model_digest; });
  check("Quality does not compare", "their task", [](const RunResult& run) { return run.task; });
  check("Quality does not compare", "their validation data", [](const RunResult& run) {
    return message(grouped(run.validation_data.samples), " samples with digest ", run.validation_data.digest);
  });
  check("Quality compares only roughly", "where plans were scored", [](const RunResult& run) { return run.scored_in; });
  check("Measured latency does not compare", "engine, batch or threads", engine_of);
  check("Estimated latency does not compare", "what it is estimated by", [](const RunResult& run) {
    return message(run.latency_model, ", batch ",
                   run.latency_batch > 0 ? std::to_string(run.latency_batch) : "unknown");
  });
  return found;
}

std::vector<std::size_t> differing_sites(std::span<const NamedRun> runs) {
  std::vector<std::size_t> sites;
  const RunResult& first = runs[0].run;
  if (!have_same_sites(runs)) return {};
  for (std::size_t site = 0; site < first.sites.size(); ++site)
    if (std::any_of(runs.begin(), runs.end(),
                    [&](const NamedRun& run) { return run.run.plan[site] != first.plan[site]; }))
      sites.push_back(site);
  return sites;
}

std::string comparison_text(std::span<const NamedRun> runs) {
  Document document(Document::Format::Text);
  add_runs(runs, document);
  for (const std::string& obstacle : obstacles(runs)) document.warning(obstacle);
  add_quality(runs, document);
  add_latency(runs, document);
  add_effort(runs, document);
  add_differences(runs, document);
  return document.text();
}

json comparison_json(std::span<const NamedRun> runs) {
  json list = json::array();
  for (const auto& [name, run] : runs) {
    json targets = json::array();
    for (const TargetResult& target : all_targets(run)) targets.push_back(target_json(run, target));
    const auto [plan, baseline] = weight_bytes(run);
    const std::string engine = engine_of(run);
    list.push_back({{"run", name},
                    {"model", run.model},
                    {"model_digest", run.model_digest},
                    {"task", run.task},
                    {"validation", run.validation_data.name},
                    {"scored_in", run.scored_in},
                    {"baseline", figures_json(run.baseline.evaluation)},
                    {"baseline_estimated", run.baseline.predicted_latency},
                    {"baseline_measured_ms", run.measured ? json(run.measured->baseline.minimum) : json()},
                    {"measured_in", engine.empty() ? json() : json(engine)},
                    {"targets", std::move(targets)},
                    {"weight_bytes", plan},
                    {"baseline_weight_bytes", baseline},
                    {"sites_at", short_composition(run.plan)},
                    {"evaluations", run.steps.size()},
                    {"samples_scored", samples_scored(run)},
                    {"seconds", seconds_of(run)},
                    {"threads", run.threads}});
  }
  json sites = json::array();
  for (const std::size_t site : differing_sites(runs)) {
    json precisions = json::array();
    for (const NamedRun& run : runs) precisions.push_back(to_string(run.run.plan[site]));
    sites.push_back({{"name", runs[0].run.sites[site].name}, {"precisions", std::move(precisions)}});
  }
  return {{"runs", std::move(list)}, {"not_comparable", obstacles(runs)}, {"sites_that_differ", std::move(sites)}};
}

}  // namespace halftone::internal
