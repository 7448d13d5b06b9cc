#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "halftone/evaluate/evaluation.hpp"

namespace halftone::internal {

/// What is known of a plan, sample by sample, in the order of the data. A sample that was not scored counts as scored
/// best and not damaged. Sums go over all samples in their order, so that rounding cannot make what is known of some
/// samples look worse than what all of them give: neither sum ever gets better when a sample is added.
class SampleScores {
 public:
  SampleScores(std::size_t samples, std::optional<ScoreRange> range);

  /// Of every sample, where scores are known once all are.
  void set_scores(std::vector<double> scores) { score_ = std::move(scores); }
  /// Not twice for one sample. A score that is not known yet is infinite.
  void add(std::size_t sample, double score, double damage);
  [[nodiscard]] const std::vector<double>& scores() const { return score_; }
  [[nodiscard]] const std::vector<double>& damages() const { return damage_; }
  [[nodiscard]] std::int64_t scored() const { return scored_; }

  /// All but digest, verdict and seconds, next to the scores of the baseline by sample.
  [[nodiscard]] Evaluation compare(const std::vector<double>& baseline) const;

 private:
  [[nodiscard]] double score_error(const std::vector<double>& baseline) const;
  [[nodiscard]] double score_span(const std::vector<double>& baseline) const;

  std::optional<ScoreRange> range_;
  std::vector<double> score_;
  std::vector<double> damage_;
  std::vector<bool> is_scored_;
  std::int64_t scored_ = 0;
};

}  // namespace halftone::internal
