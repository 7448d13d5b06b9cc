#include "halftone/core/error.hpp"
#include "halftone/report/markdown_report.hpp"
#include "halftone/report/run_result.hpp"
#include "report/activations.hpp"
#include "report/document.hpp"
#include "report/rules.hpp"
#include "report/search_story.hpp"
#include "report/site_table.hpp"
#include "report/text_summary.hpp"

namespace halftone {
namespace {

using namespace internal;
using Align = TextTable::Align;

/// Nothing where every range is what its tensor alone asks for.
void add_ranges(const RunResult& run, Document& document) {
  if (run.weight_methods.empty() && run.adjustments.empty()) return;
  TextTable table({Align::Left, Align::Left});
  for (const WeightMethodChoice& choice : run.weight_methods) {
    std::string tried;
    for (const auto& trial : choice.trials)
      tried += message(tried.empty() ? "" : ", ", to_string(trial.method), ' ', significant(trial.damage, 3));
    table.add({message("weights at ", choice.bits, " bits"),
               message("by ", to_string(choice.chosen), "; damage of all sites at ", in_words(choice.precision), ": ",
                       tried)});
  }
  for (const RangeAdjustment& adjustment : run.adjustments)
    table.add({message("adjusted: ", adjustment.plan),
               adjustment.stopped
                   ? "stopped"
                   : message("damage ", significant(adjustment.damage_before, 3), " -> ",
                             significant(adjustment.damage_after, 3), " on ", adjustment.held_out,
                             " samples held out, step ", adjustment.step_kept, " of ", adjustment.steps)});
  document.table("Ranges, by damage on calibration samples", table);
}

void add_data(const RunResult& run, Document& document) {
  TextTable table({Align::Left, Align::Right, Align::Left});
  const auto add = [&](const char* part, const DataPart& data) {
    table.add({part, grouped(data.samples) + " samples", data.name});
  };
  add("calibration", run.calibration_data);
  add("validation", run.validation_data);
  if (run.report_data) {
    add("report", *run.report_data);
  } else {
    table.add({"report", "none", ""});
  }
  document.table("Data", table);
}

void add_run(const RunResult& run, Document& document) {
  double total = 0;
  std::string stages;
  for (const auto& [stage, seconds] : run.seconds) {
    total += seconds;
    stages += message(stages.empty() ? ": " : ", ", stage, ' ', fixed(seconds, 1));
  }
  std::string environment;
  for (const auto& [name, value] : run.environment)
    environment += message(environment.empty() ? "" : ", ", name, ' ', value);
  TextTable table({Align::Left, Align::Left});
  table.add({"seconds", fixed(total, 1) + stages});
  table.add({"passes", message(significant(run.forward_passes), " forward, ", significant(run.backward_passes),
                               " backward, each over one data part")});
  table.add({"model", message(run.model, " (digest ", run.model_digest, ')')});
  table.add(
      {"settings", message("inputs by ", run.range_input, ", weights by ", run.range_weight, ", seed ", run.seed, ", ",
                           run.threads, run.threads == 1 ? " thread" : " threads", ", batches of ", run.batch_size)});
  table.add({"machine", environment});
  document.table("Run", table);
}

void add_activations(const RunResult& run, Document& document) {
  const ActivationsReport activations = activations_report(run);
  if (activations.rows.empty()) return;
  std::vector<Align> align(activations.head.size(), Align::Right);
  align.front() = Align::Left;
  TextTable table(align);
  table.add_head(activations.head);
  for (const auto& row : activations.rows) table.add(row);
  document.table(activations.caption, table);
}

void add_report(const RunResult& run, Document& document) {
  add_summary(run, document);
  document.heading("Sites");
  add_sites(run, document);
  add_activations(run, document);
  document.heading("Search");
  add_rules(run, document);
  add_search(run, document);
  document.heading("Data and run");
  add_ranges(run, document);
  add_data(run, document);
  add_run(run, document);
}

}  // namespace

std::string text_report(const RunResult& run) {
  Document document(Document::Format::Text);
  add_report(run, document);
  return document.text();
}

std::string markdown_report(const RunResult& run) {
  Document document(Document::Format::Markdown);
  document.heading("Halftone: " + run.model);
  add_report(run, document);
  return document.text();
}

}  // namespace halftone
