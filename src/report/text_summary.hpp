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

/// The first part of a report.
void add_summary(const RunResult& run, Document& document);

/// Behind a score that the metric did not give as it stands.
inline constexpr const char* kClampedLegend =
    "*: the metric gave a negative score, taken as 0, or none that is finite, taken as the largest.";
bool is_clamped(const SensitivityTable& table, std::size_t site, Precision precision);

/// How scores of a task are called and printed; `keep` is the share asked for. What an evaluation that ended early
/// gives is said to be "at most", its damage "at least".
class ScoreText {
 public:
  explicit ScoreText(std::string task, double keep = 0.999)
      : task_(std::move(task)), keep_(keep), accuracy_(task_.starts_with("top")) {}

  [[nodiscard]] int decimals() const;          ///< of shares in percent: one more than was asked for
  [[nodiscard]] std::string noun() const;      ///< "accuracy"
  [[nodiscard]] std::string sum_noun() const;  ///< "correct"
  [[nodiscard]] std::string score(const Evaluation& evaluation) const;
  [[nodiscard]] std::string sum(const Evaluation& evaluation) const;
  /// Share of the baseline's score, with one decimal more than was asked for: passing and failing then look different.
  [[nodiscard]] std::string kept(const Evaluation& evaluation, const Evaluation& baseline) const;
  [[nodiscard]] std::string damage(const Evaluation& evaluation, int digits = 4) const;
  [[nodiscard]] std::string interval(const Evaluation& evaluation) const;

 private:
  static std::string at_most(const Evaluation& evaluation);

  std::string task_;
  double keep_;
  bool accuracy_;
};

struct ScoreRow {
  std::string name;
  const Evaluation& evaluation;
  const Evaluation& baseline;
};

/// Score, sum, samples, damage, share kept and its interval, one row each.
TextTable score_table(const ScoreText& scores, const std::vector<ScoreRow>& rows);

}  // namespace halftone::internal
