#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "halftone/core/plan.hpp"
#include "halftone/sensitivity/table.hpp"

namespace halftone {

/// What a plan is expected to cost, from a metric's table: by its pairs of sites where it has them, else as the sum of
/// the sites' scores. In the metric's own measure: damages of plans compare with each other, not with nats. Sites at 16
/// bits cost nothing. A value.
class PredictedDamage {
 public:
  explicit PredictedDamage(const SensitivityTable& table) : scores_(table.scores), pairs_(table.pairs) {}

  /// Throws `InvalidArgument` where the table lacks a site or a precision of `plan`. Cost: sites, squared with pairs.
  [[nodiscard]] double damage(const Plan& plan) const;

  /// How much `damage(plan)` rises where `site` goes to `target`; may be negative with pairs. Cost: sites with pairs.
  [[nodiscard]] double increase(const Plan& plan, std::size_t site, Precision target) const;

  /// What site i at p and another site j at q do to each other; for i = j and p = q what the site does alone. A plan's
  /// damage is the sum over all pairs, each once, and all sites.
  [[nodiscard]] double term(std::size_t i, Precision p, std::size_t j, Precision q) const;

 private:
  [[nodiscard]] double score(std::size_t site, Precision precision) const;

  std::vector<std::map<Precision, double>> scores_;
  std::optional<PairMatrix> pairs_;
};

}  // namespace halftone
