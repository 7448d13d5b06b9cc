#include "sensitivity/clamp_scores.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "halftone/core/error.hpp"

namespace halftone::internal {

namespace {

double score_of(const SensitivityTable& table, const SensitivityInput& input, std::size_t site, Precision precision) {
  const auto found = table.scores[site].find(precision);
  if (found == table.scores[site].end())
    throw Error(Errc::Internal, message("metric ", table.metric, " gave no score for site \"",
                                        input.model.sites[site].name, "\" at precision ", precision));
  return found->second;
}

double largest_score(const SensitivityTable& table, const SensitivityInput& input, Precision precision) {
  std::optional<double> largest;
  for (std::size_t i = 0; i < table.scores.size(); ++i)
    if (const double score = score_of(table, input, i, precision); std::isfinite(score))
      largest = std::max(largest.value_or(0), score);
  if (!largest)
    throw Error(Errc::NonFinite, message("metric ", table.metric, " gave no site a finite score at precision ",
                                         precision, ": look at the weights, the ranges and the data"));
  return *largest;
}

/// What pairs say of a change without a finite score is not to be had: its clamped score stands alone.
void clear_pairs(SensitivityTable& table) {
  const PairMatrix& pairs = *table.pairs;
  std::vector<double> values = pairs.values();
  for (const ClampedScore& clamped : table.clamped) {
    const auto& precisions = pairs.precisions();
    const auto found = std::find(precisions.begin(), precisions.end(), clamped.precision);
    if (std::isfinite(clamped.given) || found == precisions.end() || clamped.site >= pairs.sites()) continue;
    const std::size_t row = clamped.site * precisions.size() + static_cast<std::size_t>(found - precisions.begin());
    for (std::size_t k = 0; k < pairs.rows(); ++k) values[row * pairs.rows() + k] = values[k * pairs.rows() + row] = 0;
    const double score = table.scores[clamped.site].at(clamped.precision);
    if (pairs.scale() > 0) values[row * pairs.rows() + row] = 2 * score / pairs.scale();
  }
  table.pairs = PairMatrix(pairs.sites(), pairs.precisions(), std::move(values), pairs.scale());
}

}  // namespace

void clamp_scores(SensitivityTable& table, const SensitivityInput& input) {
  const std::size_t sites = input.model.sites.size();
  if (table.scores.size() != sites)
    throw Error(Errc::Internal, message("metric ", table.metric, " scored ", table.scores.size(), " sites of ", sites,
                                        ": it must score all"));
  table.clamped.clear();
  for (const Precision precision : input.precisions) {
    const double largest = largest_score(table, input, precision);
    for (std::size_t i = 0; i < sites; ++i) {
      double& score = table.scores[i].at(precision);
      if (std::isfinite(score) && score >= 0) continue;
      table.clamped.push_back({.site = i, .precision = precision, .given = score});
      const bool is_finite = std::isfinite(score);
      score = is_finite ? 0 : largest;
      if (!is_finite && i < table.standard_errors.size()) table.standard_errors[i][precision] = 0;
    }
  }
  const auto is_lost = [](const ClampedScore& clamped) { return !std::isfinite(clamped.given); };
  if (table.pairs && std::any_of(table.clamped.begin(), table.clamped.end(), is_lost)) clear_pairs(table);
}

}  // namespace halftone::internal
