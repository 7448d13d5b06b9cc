#include "evaluate/sample_scores.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace halftone::internal {
namespace {

double sum(const std::vector<double>& numbers) { return std::accumulate(numbers.begin(), numbers.end(), 0.0); }

/// 95 % interval of score / baseline score: 1 + (d -+ 1.96 SE(d)) / baseline. Where no sample differs, the rule of
/// three: with 95 % confidence fewer than 3 in n do. [0, 0] where the baseline scores 0 and no ratio exists.
Interval paired_interval(const Evaluation& evaluation, double baseline) {
  if (baseline == 0) return {};
  const double difference = evaluation.score - baseline;
  const bool same = evaluation.score_error == 0 && difference == 0;
  const double half =
      same ? 3 * evaluation.score_span / static_cast<double>(evaluation.samples) : 1.96 * evaluation.score_error;
  const double low = 1 + (difference - half) / baseline;
  return {same ? std::max(0.0, low) : low, 1 + (difference + half) / baseline};
}

}  // namespace

SampleScores::SampleScores(std::size_t samples, std::optional<ScoreRange> range)
    : range_(range),
      score_(samples, range ? range->high : std::numeric_limits<double>::infinity()),
      damage_(samples, 0),
      is_scored_(samples, false) {}

void SampleScores::add(std::size_t sample, double score, double damage) {
  score_[sample] = score;
  damage_[sample] = damage;
  is_scored_[sample] = true;
  ++scored_;
}

Evaluation SampleScores::compare(const std::vector<double>& baseline) const {
  const auto samples = static_cast<double>(score_.size());
  Evaluation evaluation{.score = sum(score_) / samples,
                        .score_count = sum(score_),
                        .samples = std::ssize(score_),
                        .unscored = std::ssize(score_) - scored_,
                        .damage = sum(damage_) / samples,
                        .score_error = score_error(baseline),
                        .score_span = score_span(baseline)};
  if (!evaluation.ended_early()) evaluation.interval = paired_interval(evaluation, sum(baseline) / samples);
  return evaluation;
}

/// Squared deviations from a mean add up to less over some samples than over all.
double SampleScores::score_error(const std::vector<double>& baseline) const {
  const auto samples = static_cast<double>(score_.size());
  if (samples < 2 || scored_ == 0) return 0;
  double total = 0;
  for (std::size_t i = 0; i < score_.size(); ++i)
    if (is_scored_[i]) total += score_[i] - baseline[i];
  if (!std::isfinite(total)) return 0;  // nothing is certain yet
  const double mean = total / static_cast<double>(scored_);
  double squares = 0;
  for (std::size_t i = 0; i < score_.size(); ++i)
    if (is_scored_[i]) squares += (score_[i] - baseline[i] - mean) * (score_[i] - baseline[i] - mean);
  const double rounding = scored_ < std::ssize(score_) ? 1 - 1e-9 : 1;  // towards what is certain
  return rounding * std::sqrt(squares / (samples - 1) / samples);
}

double SampleScores::score_span(const std::vector<double>& baseline) const {
  if (range_) return range_->high - range_->low;
  double low = *std::min_element(baseline.begin(), baseline.end());
  double high = *std::max_element(baseline.begin(), baseline.end());
  for (std::size_t i = 0; i < score_.size(); ++i) {
    if (!is_scored_[i]) continue;
    low = std::min(low, score_[i]);
    high = std::max(high, score_[i]);
  }
  return high - low;
}

}  // namespace halftone::internal
