#include "testing/compare_tables.hpp"

#include <algorithm>
#include <cmath>

namespace halftone::internal {

namespace {

/// 0 for metrics that do not sample, or do not tell.
double standard_error(const SensitivityTable& table, std::size_t site, Precision precision) {
  if (site >= table.standard_errors.size()) return 0;
  const auto found = table.standard_errors[site].find(precision);
  return found == table.standard_errors[site].end() ? 0 : found->second;
}

/// Scores must agree, but for what sampling explains.
void compare_scores(const SensitivityTable& table, const SensitivityTable& other, const Comparison& comparison,
                    const SensitivityInput& input, Violations& violations) {
  const auto& from = comparison.from;
  for (const Precision precision : input.precisions) {
    double largest = 0;
    for (const auto& scores : table.scores) largest = std::max(largest, std::abs(scores.at(precision)));
    for (std::size_t i = 0; i < from.size(); ++i) {
      const double was = table.scores[from[i]].at(precision);
      const double is = other.scores[i].at(precision);
      // Chance exceeds it once in 16,000 where errors are well known. Those of n draws are not: of 2 once in 17, of 5
      // once in 250, of 30 once in 5,500, and more often where draws have long tails.
      constexpr double kErrors = 4;
      const double by_chance =
          kErrors * std::hypot(standard_error(table, from[i], precision), standard_error(other, i, precision));
      if (std::abs(is - was) <= comparison.tolerance * largest + by_chance) continue;
      return violations.add("its scores depend on ", comparison.changed, ": site \"", input.model.sites[from[i]].name,
                            "\" at precision ", precision, " is scored ", was, " and then ", is);
    }
  }
}

/// So must pairs.
void compare_pairs(const SensitivityTable& table, const SensitivityTable& other, const Comparison& comparison,
                   const SensitivityInput& input, Violations& violations) {
  if (!table.pairs || !other.pairs) return;
  const auto& from = comparison.from;
  const double tolerance = comparison.tolerance * largest_pair(*table.pairs);
  for (std::size_t i = 0; i < from.size(); ++i)
    for (std::size_t j = 0; j <= i; ++j)
      for (const Precision p : input.precisions)
        for (const Precision q : input.precisions) {
          const double was = half_pair(*table.pairs, from[i], p, from[j], q);
          const double is = half_pair(*other.pairs, i, p, j, q);
          if (std::abs(is - was) <= tolerance) continue;
          return violations.add("its pairs depend on ", comparison.changed, ": half of \"",
                                input.model.sites[from[i]].name, "\" at precision ", p, " with \"",
                                input.model.sites[from[j]].name, "\" at ", q, " is ", was, " and then ", is);
        }
}

}  // namespace

double half_pair(const PairMatrix& pairs, std::size_t i, Precision p, std::size_t j, Precision q) {
  return pairs.scale() * pairs.at(i, p, j, q) / 2;
}

double largest_pair(const PairMatrix& pairs) {
  double largest = 0;
  for (const double value : pairs.values()) largest = std::max(largest, std::abs(pairs.scale() * value / 2));
  return largest;
}

void compare_tables(const SensitivityTable& table, const SensitivityTable& other, const Comparison& comparison,
                    const SensitivityInput& input, Violations& violations) {
  compare_scores(table, other, comparison, input, violations);
  compare_pairs(table, other, comparison, input, violations);
}

}  // namespace halftone::internal
