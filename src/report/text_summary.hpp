#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "halftone/report/run_result.hpp"
#include "report/document.hpp"

/// How the report's parts call things.
namespace halftone::internal {

std::string composition(const Plan& plan);        ///< "4 of 20 sites at 4 bits, 16 at 8 bits"
std::string short_composition(const Plan& plan);  ///< "4 at 4, 16 at 8"

struct WeightBytes {
  double plan = 0;
  double baseline = 0;  ///< at 16 bits
};
WeightBytes weight_bytes(const RunResult& run);
std::string weights_text(const RunResult& run);  ///< how large weights are, in a sentence

/// How much longer or shorter `timing` is than `reference`, by the ratio of turns side by side: "-33.3 %", or that no
/// difference was seen. By the fastest pass where turns are not known, as in a run.json of an earlier version.
std::string measured_change(const Timing& timing, const Timing& reference);

/// "-21.2 to -18.7 %": the 95 % interval of the same; empty where it is not known.
std::string measured_interval(const Timing& timing, const Timing& reference);

/// "met", "missed", "stopped" or "not searched".
std::string outcome_word(const TargetResult& target);

/// What to know to read a report's figures, in sentences.
std::vector<std::string> explanations(const RunResult& run);

/// The first part of a report.
void add_summary(const RunResult& run, Document& document);

/// Behind a score that the metric did not give as it stands.
inline constexpr const char* kClampedLegend =
    "*: the metric gave a negative score, taken as 0, or none that is finite, taken as the largest.";
bool is_clamped(const SensitivityTable& table, std::size_t site, Precision precision);

/// How scores of a task are called and printed. What an evaluation that ended early gives is said to be "at most", its
/// damage "at least".
class ScoreText {
 public:
  /// `gates`: what was asked for.
  explicit ScoreText(std::string task, const std::vector<Gate>& gates = {});
  /// Figures look the same in all parts of a report, whatever target they stand beside.
  explicit ScoreText(const RunResult& run);

  [[nodiscard]] int decimals() const { return decimals_; }  ///< of shares in percent: one more than was asked for
  [[nodiscard]] const std::vector<double>& keeps() const { return keeps_; }      ///< asked for, in percent
  [[nodiscard]] const std::vector<double>& budgets() const { return budgets_; }  ///< of damage, asked for
  [[nodiscard]] std::string noun() const;                                        ///< "accuracy"
  [[nodiscard]] std::string score(const Evaluation& evaluation) const;
  [[nodiscard]] bool is_accuracy() const { return accuracy_; }            ///< a share of right answers
  [[nodiscard]] std::string correct(const Evaluation& evaluation) const;  ///< of accuracies: how many samples
  /// Share of the baseline's score, with as many decimals as tell it from what was asked for.
  [[nodiscard]] std::string kept(const Evaluation& evaluation, const Evaluation& baseline) const;
  [[nodiscard]] std::string damage(const Evaluation& evaluation) const;
  [[nodiscard]] std::string interval(const Evaluation& evaluation) const;

 private:
  static std::string at_most(const Evaluation& evaluation);

  std::string task_;
  bool accuracy_;
  int decimals_ = 2;
  std::vector<double> keeps_{};
  std::vector<double> budgets_{};
};

struct ScoreRow {
  std::string name;
  const Evaluation& evaluation;
  const Evaluation& baseline;
};

/// Score, sum, samples, damage, share kept and its interval, one row each.
TextTable score_table(const ScoreText& scores, const std::vector<ScoreRow>& rows);

}  // namespace halftone::internal
