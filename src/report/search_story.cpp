#include "report/search_story.hpp"

#include <algorithm>

#include "halftone/core/error.hpp"
#include "report/outcome.hpp"
#include "report/text_summary.hpp"

namespace halftone::internal {
namespace {

using Align = TextTable::Align;

/// The last line of a plan that is a target's result says so.
TextTable story_table(const RunResult& run, const TargetResult& target) {
  const ScoreText scores(run);
  const double baseline = run.baseline.predicted_latency;
  TextTable table({Align::Right, Align::Right, Align::Right, Align::Right, Align::Left, Align::Left});
  table.add_head({"plan", "kept", "damage", run.latency_measured ? "predicted" : "modelled", "", ""});
  const std::vector<StoryLine> lines = story(run, target.decisions);
  const auto is_result = [&](const StoryLine& line) {
    return line.step < run.steps.size() && run.steps[line.step].plan == target.plan;
  };
  const auto last = std::find_if(lines.rbegin(), lines.rend(), is_result);
  for (const StoryLine& line : lines) {
    if (line.step == run.steps.size()) {
      table.add({"", "", "", "", line.passed ? "pass" : "fail", line.text});
      continue;
    }
    const SearchStep& step = run.steps[line.step];
    const bool has_latency = baseline > 0 && step.latency > 0;
    table.add({std::to_string(line.step + 1), scores.kept(step.evaluation, run.baseline.evaluation),
               scores.damage(step.evaluation), has_latency ? change(baseline, step.latency) : "-",
               line.passed ? "pass" : "fail",
               line.text + (last != lines.rend() && &line == &*last ? " (the result)" : "")});
  }
  return table;
}

TextTable::Row target_row(const RunResult& run, const TargetResult& target) {
  Evaluation plain = target.figures.evaluation;
  plain.unscored = 0;
  const bool is_bound = target.figures.evaluation.ended_early();
  const bool known = plain.samples > 0;
  const bool has_estimate = run.baseline.predicted_latency > 0 && target.figures.predicted_latency > 0;
  const ScoreText scores(run);
  TextTable::Row row{to_string(target.gate), outcome_word(target),
                     known ? (is_bound ? "<= " : "") + scores.kept(plain, run.baseline.evaluation) : "-",
                     known ? (is_bound ? ">= " : "") + scores.damage(plain) : "-",
                     has_estimate ? change(run.baseline.predicted_latency, target.figures.predicted_latency) : "-"};
  if (run.measured) row.push_back(target.measured ? measured_change(*target.measured, run.measured->baseline) : "-");
  row.push_back(short_composition(target.plan));
  return row;
}

}  // namespace

std::vector<StoryLine> story(const RunResult& run, const std::vector<Decision>& decisions) {
  std::vector<StoryLine> lines;
  if (decisions.empty() && run.looser.empty())  // else steps are of other targets' searches
    for (std::size_t i = 0; i < run.steps.size(); ++i)
      lines.push_back({i, run.steps[i].evaluation.passed, run.steps[i].decision});
  for (const Decision& decision : decisions) {
    const auto same = [&](const SearchStep& step) { return step.evaluation.plan_digest == decision.plan_digest; };
    const auto found = std::find_if(run.steps.begin(), run.steps.end(), same);
    lines.push_back({static_cast<std::size_t>(found - run.steps.begin()), decision.passed, decision.text});
  }
  return lines;
}

void add_targets(const RunResult& run, Document& document) {
  if (run.looser.empty()) return;
  std::vector<Align> align{Align::Left, Align::Left, Align::Right, Align::Right, Align::Right};
  TextTable::Row head{"target", "", "kept", "damage", run.latency_measured ? "predicted" : "modelled"};
  if (run.measured) {
    align.push_back(Align::Right);
    head.emplace_back("measured");
  }
  align.push_back(Align::Left);
  head.emplace_back("sites");
  TextTable table(align);
  table.add_head(head);
  for (const TargetResult& target : all_targets(run)) table.add(target_row(run, target));
  document.table("All targets, loosest first; latency against 16 bits:", table);
  std::string files;
  for (const TargetResult& target : run.looser) files += message(plan_file_name(target.gate), ", ");
  document.paragraph(message(
      "Their plans: ", files, "plan.json. The last target, the strictest, is the run's own: all ",
      "else in this report is of its plan", run.report_data ? ", and the report part is scored for it alone." : "."));
}

void add_search(const RunResult& run, Document& document) {
  const std::string from = run.sensitivity_file.empty() ? "" : " from " + run.sensitivity_file;
  const std::string by = message(" by ", run.metric, from, "): ");
  const std::string how = run.latency_target ? "Search (within the latency, on the frontier predicted" + by
                                             : message("Search (", run.search, " on the order ", run.order, by);
  if (run.steps.empty()) return document.paragraph(how + "no plan was evaluated.");
  const auto partial = std::count_if(run.steps.begin(), run.steps.end(),
                                     [](const SearchStep& step) { return step.evaluation.ended_early(); });
  std::string scored = message(run.steps.size(), run.steps.size() == 1 ? " plan" : " plans", " evaluated");
  if (partial > 0)
    scored += message(", ", partial, " of them only until their verdict was certain (\"at most\", \"at least\")");
  if (run.looser.empty()) return document.table(how + scored, story_table(run, all_targets(run).back()));
  document.paragraph(how + scored + '.');
  for (const TargetResult& target : all_targets(run)) {
    const std::string head = message("For ", to_string(target.gate), ':');
    if (!target.unsearched.empty()) document.paragraph(message(head, " not searched: ", target.unsearched, '.'));
    if (!target.decisions.empty()) document.table(target.unsearched.empty() ? head : "", story_table(run, target));
  }
}

}  // namespace halftone::internal
