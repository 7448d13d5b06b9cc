#include <algorithm>
#include <cmath>

#include "halftone/core/error.hpp"
#include "halftone/report/run_result.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

namespace halftone {
namespace {

using namespace internal;
using Align = TextTable::Align;

/// The precisions that the sensitivity table scores, from highest to lowest; the lowest three, so that the table fits.
std::vector<Precision> scored_precisions(const RunResult& run) {
  std::vector<Precision> scored;
  if (run.sensitivity.scores.size() != run.sites.size()) return scored;
  for (const Precision precision : run.precisions)
    if (run.sensitivity.scores.front().contains(precision)) scored.push_back(precision);
  if (scored.size() > 3) scored.erase(scored.begin(), scored.end() - 3);
  return scored;
}

std::string weight_shape(const Site& site) {
  std::string text;
  for (const auto size : site.weight_shape) text += message(text.empty() ? "" : "x", size);
  return shortened(text, 14);
}

/// One row a site; what is not known has no column.
class SiteTable {
 public:
  explicit SiteTable(const RunResult& run) : run_(run), scored_(scored_precisions(run)) {
    for (const Site& site : run.sites) macs_ += static_cast<double>(site.macs);
    if (run.site_saving.size() == run.sites.size() && run.baseline.predicted_latency > 0)
      for (const double saving : run.site_saving) most_saved_ = std::max(most_saved_, std::abs(saving));
  }

  [[nodiscard]] std::string text() const {
    std::vector<Align> align{Align::Left, Align::Left, Align::Left, Align::Right, Align::Right};
    align.insert(align.end(), scored_.size(), Align::Right);
    if (shows_savings()) align.insert(align.end(), {Align::Right, Align::Left});
    TextTable table(align);
    table.add(head());
    for (std::size_t i = 0; i < run_.sites.size(); ++i) table.add(row(i));
    return legend() + table.text();
  }

 private:
  [[nodiscard]] bool shows_savings() const { return most_saved_ != 0; }

  [[nodiscard]] std::string legend() const {
    std::string text = "Sites in network order. MACs: share of the network's multiply-accumulates.";
    if (!scored_.empty()) text += message(" at …: sensitivity there by ", run_.metric, ", lower is safer.");
    if (scored_.empty() && run_.status != RunStatus::Stopped)
      text += " Sensitivities were not needed: no plan told some sites from others.";
    if (!run_.sensitivity.clamped.empty()) text += std::string(1, ' ') + kClampedLegend;
    if (shows_savings())
      text += message(" saves: what the site alone at 16 bits would cost the plan, as a share of the all-16 latency, ",
                      run_.latency_measured ? "predicted." : "modelled.");
    return wrapped(text) + '\n';
  }

  [[nodiscard]] TextTable::Row head() const {
    TextTable::Row head{"site", "kind", "weight", "MACs", "bits"};
    for (const Precision precision : scored_) head.push_back(message("at ", precision));
    if (shows_savings()) head.push_back("saves");
    return head;
  }

  [[nodiscard]] TextTable::Row row(std::size_t i) const {
    const Site& site = run_.sites[i];
    TextTable::Row row{site.name, to_string(site.kind), weight_shape(site),
                       percent(static_cast<double>(site.macs) / macs_, 1), to_string(run_.plan[i])};
    for (const Precision precision : scored_) {
      const auto found = run_.sensitivity.scores[i].find(precision);
      row.push_back(found == run_.sensitivity.scores[i].end()
                        ? "-"
                        : significant(found->second, 3) + (is_clamped(run_.sensitivity, i, precision) ? "*" : ""));
    }
    if (shows_savings()) {
      row.push_back(percent(run_.site_saving[i] / run_.baseline.predicted_latency, 1));
      row.push_back(bar(std::max(0.0, run_.site_saving[i]) / most_saved_, scored_.size() < 3 ? 12 : 6));
    }
    return row;
  }

  const RunResult& run_;
  std::vector<Precision> scored_;
  double macs_ = 0;
  double most_saved_ = 0;  ///< or lost
};

std::string search_section(const RunResult& run) {
  std::string text = message("Search (", run.search, " on the order ", run.order, " by ", run.metric,
                             run.sensitivity_file.empty() ? "" : " from " + run.sensitivity_file, "): ");
  if (run.steps.empty()) return text + "no plan was evaluated.\n";
  text += message(run.steps.size(), run.steps.size() == 1 ? " plan" : " plans", " evaluated\n");
  const ScoreText scores(run.task, run.gate.keep);
  TextTable table({Align::Right, Align::Right, Align::Right, Align::Left, Align::Left});
  table.add({"plan", "kept", "damage", "", ""});
  for (std::size_t i = 0; i < run.steps.size(); ++i) {
    const Evaluation& evaluation = run.steps[i].evaluation;
    table.add({std::to_string(i + 1), scores.kept(evaluation, run.baseline.evaluation),
               significant(evaluation.damage, 3), evaluation.passed ? "pass" : "fail", run.steps[i].decision});
  }
  return text + table.text();
}

/// Empty where every range is what its tensor alone asks for.
std::string range_section(const RunResult& run) {
  if (run.weight_methods.empty() && run.adjustments.empty()) return {};
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
  return "Ranges, by damage on calibration samples\n" + table.text() + '\n';
}

std::string data_section(const RunResult& run) {
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
  return "Data\n" + table.text();
}

std::string run_section(const RunResult& run) {
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
  return "Run\n" + table.text();
}

}  // namespace

std::string text_report(const RunResult& run) {
  return text_summary(run) + '\n' + SiteTable(run).text() + '\n' + search_section(run) + '\n' + range_section(run) +
         data_section(run) + '\n' + run_section(run);
}

}  // namespace halftone
