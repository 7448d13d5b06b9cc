#include "report/text_summary.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "halftone/core/error.hpp"
#include "halftone/core/precision.hpp"
#include "report/caveats.hpp"
#include "report/measured_ratio.hpp"
#include "report/outcome.hpp"
#include "report/search_story.hpp"
#include "report/text.hpp"

namespace halftone {

namespace internal {

std::string composition(const Plan& plan) {
  std::map<Precision, std::int64_t> counts;
  for (const Precision precision : plan.precisions) ++counts[precision];
  const auto total = std::ssize(plan.precisions);
  if (total == 1) return message("the only site at ", in_words(plan[0]));
  if (counts.size() == 1) return message("all ", total, " sites at ", in_words(plan[0]));
  std::string text;
  for (const auto& [precision, count] : counts)
    text += (text.empty() ? message(count, " of ", total, " sites at ") : message(", ", count, " at ")) +
            in_words(precision);
  return text;
}

std::string short_composition(const Plan& plan) {
  std::map<Precision, std::int64_t> counts;
  for (const Precision precision : plan.precisions) ++counts[precision];
  std::string text;
  for (const auto& [precision, count] : counts) text += message(text.empty() ? "" : ", ", count, " at ", precision);
  return text;
}

bool is_clamped(const SensitivityTable& table, std::size_t site, Precision precision) {
  return std::any_of(table.clamped.begin(), table.clamped.end(),
                     [&](const ClampedScore& score) { return score.site == site && score.precision == precision; });
}

static int decimals_of(double percentage) {
  int decimals = 1;
  for (; decimals < 7 && std::abs(percentage - std::round(percentage)) > 1e-6; percentage *= 10) ++decimals;
  return decimals;
}

ScoreText::ScoreText(std::string task, const std::vector<Gate>& gates)
    : task_(std::move(task)), accuracy_(task_.starts_with("top")) {
  for (const Gate& gate : gates) {
    if (gate.kind == GateKind::Damage) {
      budgets_.push_back(gate.budget);
    } else {
      keeps_.push_back(100 * gate.keep);
      decimals_ = std::max(decimals_, decimals_of(keeps_.back()));
    }
  }
}

static std::vector<Gate> gates_of(const RunResult& run) {
  std::vector<Gate> gates;
  if (run.latency_target) return gates;
  for (const TargetResult& target : all_targets(run)) gates.push_back(target.gate);
  return gates;
}

ScoreText::ScoreText(const RunResult& run) : ScoreText(run.task, gates_of(run)) {}

std::string ScoreText::noun() const {
  if (!accuracy_) return task_ + " score";
  return task_ == "top1" ? "accuracy" : "top-" + task_.substr(3) + " accuracy";
}

std::string ScoreText::score(const Evaluation& evaluation) const {
  if (!std::isfinite(evaluation.score)) return "-";
  return at_most(evaluation) + (accuracy_ ? percent(evaluation.score) : significant(evaluation.score, 6));
}

std::string ScoreText::correct(const Evaluation& evaluation) const {
  if (!std::isfinite(evaluation.score_count)) return "-";
  return at_most(evaluation) + grouped(std::llround(evaluation.score_count));
}

std::string ScoreText::kept(const Evaluation& evaluation, const Evaluation& baseline) const {
  if (!(baseline.score > 0) || !std::isfinite(evaluation.score)) return "-";
  constexpr int kMostDecimals = 10;
  constexpr double kEqual = 1e-9;
  const double kept = 100 * (evaluation.score / baseline.score);
  const auto looks_right = [&](const std::string& text, double keep) {
    return (std::strtod(text.c_str(), nullptr) < keep - kEqual) == (kept < keep - kEqual);
  };
  int decimals = decimals_;
  std::string text = fixed(kept, decimals);
  while (decimals < kMostDecimals &&
         !std::all_of(keeps_.begin(), keeps_.end(), [&](double keep) { return looks_right(text, keep); }))
    text = fixed(kept, ++decimals);
  return at_most(evaluation) + text + " %";
}

std::string ScoreText::damage(const Evaluation& evaluation) const {
  return (evaluation.ended_early() ? "at least " : "") + significant_beside(evaluation.damage, 3, budgets_);
}

std::string ScoreText::interval(const Evaluation& evaluation) const {
  if (evaluation.ended_early()) return "-";
  return message(fixed(100 * evaluation.interval.low, 2), " to ", percent(evaluation.interval.high));
}

std::string ScoreText::at_most(const Evaluation& evaluation) { return evaluation.ended_early() ? "at most " : ""; }

TextTable score_table(const ScoreText& scores, const std::vector<ScoreRow>& rows) {
  using enum TextTable::Align;
  const bool counts = scores.is_accuracy();
  std::vector<TextTable::Align> columns{Left, Right, Right, Right, Right, Right};
  std::vector<std::string> head{"", scores.noun(), "samples", "damage", "kept", "95 % interval"};
  if (counts) {
    columns.push_back(Right);
    head.insert(head.begin() + 2, "correct");
  }
  TextTable table(columns);
  table.add_head(head);
  for (const auto& [name, evaluation, baseline] : rows) {
    Evaluation plain = evaluation;  // "at most" once a row, or the row is too wide
    plain.unscored = 0;
    std::vector<std::string> row{evaluation.ended_early() ? name + ", at most" : name,
                                 scores.score(plain),
                                 grouped(evaluation.samples),
                                 scores.damage(evaluation),
                                 scores.kept(plain, baseline),
                                 &evaluation == &baseline ? "" : scores.interval(evaluation)};
    if (counts) row.insert(row.begin() + 2, scores.correct(plain));
    table.add(row);
  }
  return table;
}

}  // namespace internal

namespace {

using namespace internal;
using Align = TextTable::Align;

bool is_simulation(const std::string& place) { return place == "simulation"; }

void add_scores(const RunResult& run, Document& document) {
  const Evaluation& baseline = run.baseline.evaluation;
  if (baseline.samples == 0) return;
  std::vector<ScoreRow> rows{{"float, as trained", run.float_score, baseline},
                             {"baseline, all at 16 bits", baseline, baseline}};
  if (run.result.evaluation.samples > 0) rows.push_back({"plan", run.result.evaluation, baseline});
  if (const auto& other = run.other_score) {
    const auto& same = other->same_samples;
    if (same) rows.push_back({"plan, on some", same->plan, same->baseline});
    rows.push_back({message(same ? "the same, " : "plan, ", is_simulation(other->scored_in) ? "simulated" : "deployed"),
                    other->evaluation, same ? same->baseline : baseline});
  }
  if (run.baseline.report) {
    rows.push_back({"report part: baseline", *run.baseline.report, *run.baseline.report});
    if (run.result.report) rows.push_back({"report part: plan", *run.result.report, *run.baseline.report});
  }
  const std::string place =
      is_simulation(run.scored_in)
          ? "simulated"
          : message("deployed in ", run.scored_in, run.engine ? ", all but integers in " + run.engine->float_type : "");
  document.table(run.scored_in.empty() ? "" : message("Scored ", place, ", where not said otherwise:"),
                 score_table(ScoreText(run), rows));
}

void add_measured(const RunResult& run, Document& document) {
  const EngineTimes& times = *run.measured;
  double most = std::max(times.baseline.minimum, times.plan.minimum);
  for (const auto& [precision, timing] : times.uniform) most = std::max(most, timing.minimum);
  const bool predicts = run.latency_measured;
  TextTable table({Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Bar});
  table.add_head({"", predicts ? "predicted" : "", "minimum", "median", "of 16 bits", ""});
  const auto add = [&](const std::string& name, double predicted, const Timing& timing) {
    table.add({name, predicts ? with_unit(predicted, "ms") : "", with_unit(timing.minimum, "ms"),
               with_unit(timing.median, "ms"),
               &timing == &times.baseline ? "" : measured_change(timing, times.baseline),
               bar(timing.minimum / most, 30)});
  };
  const auto predicted = [&](const std::string& precision) {
    const auto found = run.uniform_latency.find(precision);
    return found == run.uniform_latency.end() ? 0 : found->second;
  };
  add(run.engine->float_type == "f32" ? "all at 16 bits (f32)" : "all at 16 bits", run.baseline.predicted_latency,
      times.baseline);
  for (const Precision precision : run.precisions)
    if (const auto found = times.uniform.find(to_string(precision)); precision != k16 && found != times.uniform.end())
      add(message("all at ", in_words(precision)), predicted(to_string(precision)), found->second);
  add("plan", run.result.predicted_latency, times.plan);
  const std::string caption =
      message("Latency measured in ", run.engine->full_name(), ", batch ", times.batch, ", ", run.engine->threads,
              run.engine->threads == 1 ? " thread" : " threads", ", all but integers in ", run.engine->float_type,
              "; load of the machine ", fixed(times.load, 1),
              times.precise ? "" : " (not all medians are known to 1 %: the machine was disturbed, or time was short)",
              predicts ? "; " + run.latency_origin : "", ':');
  document.table(caption, table);
}

void add_modelled(const RunResult& run, Document& document) {
  const double baseline = run.baseline.predicted_latency;
  if (!(baseline > 0)) return;
  double most = std::max(baseline, run.result.predicted_latency);
  for (const auto& [precision, latency] : run.uniform_latency) most = std::max(most, latency);
  TextTable table({Align::Left, Align::Right, Align::Right, Align::Bar});
  const auto add = [&](const std::string& name, double latency) {
    table.add({name, with_unit(latency, run.latency_unit), change(baseline, latency), bar(latency / most, 40)});
  };
  add("all at 16 bits", baseline);
  for (const Precision precision : run.precisions) {
    const auto found = run.uniform_latency.find(to_string(precision));
    if (precision != k16 && found != run.uniform_latency.end())
      add(message("all at ", in_words(precision)), found->second);
  }
  add("plan", run.result.predicted_latency);
  document.table("Latency, " + run.latency_origin + ':', table);
}

void add_latency(const RunResult& run, Document& document) {
  if (!run.measured || !run.latency_measured) add_modelled(run, document);
  if (run.measured) add_measured(run, document);
}

}  // namespace

namespace internal {

WeightBytes weight_bytes(const RunResult& run) {
  WeightBytes bytes;
  for (std::size_t i = 0; i < run.sites.size(); ++i) {
    const auto elements = static_cast<double>(run.sites[i].weight_elements);
    bytes.plan += elements * run.plan[i].weight_bits / 8;
    bytes.baseline += elements * 2;
  }
  return bytes;
}

std::string measured_change(const Timing& timing, const Timing& reference) {
  const auto found = ratio(timing, reference);
  if (!found) return change(reference.minimum, timing.minimum);
  if (!found->is_known()) return change(1, found->value) + ", too few turns";
  return found->differs() ? change(1, found->value) : "no difference";
}

std::string measured_interval(const Timing& timing, const Timing& reference) {
  const auto found = ratio(timing, reference);
  if (!found || !found->is_known()) return {};
  const std::string low = change(1, found->low);
  return message(low.substr(0, low.size() - 2), " to ", change(1, found->high));
}

std::string outcome_word(const TargetResult& target) {
  return target.unsearched.empty() ? to_string(target.status) : "not searched";
}

std::vector<std::string> explanations(const RunResult& run) {
  std::vector<std::string> found;
  if (run.measured)
    found.emplace_back(
        "Measured times are those of the fastest pass and of the median one; measured changes are the median of the "
        "ratios of turns that ran side by side, not the ratio of two times.");
  if (run.gate.kind == GateKind::Confidence && !run.latency_target && run.result.evaluation.samples > 0)
    found.emplace_back(
        "What is kept \"with 95 % confidence\" is a one-sided bound that also allows for few differing samples, and so "
        "may lie below the two-sided 95 % interval, which does not.");
  return found;
}

std::string weights_text(const RunResult& run) {
  const auto [plan, baseline] = weight_bytes(run);
  return message("Weights: ", bytes_text(plan), " in the plan, ", bytes_text(baseline), " at 16 bits (",
                 change(baseline, plan), ").");
}

void add_summary(const RunResult& run, Document& document) {
  document.paragraph(outcome(run));
  add_scores(run, document);
  add_latency(run, document);
  for (const auto& explanation : explanations(run)) document.paragraph(explanation);
  add_targets(run, document);
  document.paragraph(weights_text(run));
  for (const auto& note : run.notes) document.paragraph(note);
  for (const auto& caveat : caveats(run)) document.warning(caveat);
}

}  // namespace internal

std::string text_summary(const RunResult& run) {
  Document document(Document::Format::Text);
  add_summary(run, document);
  return document.text();
}

}  // namespace halftone
