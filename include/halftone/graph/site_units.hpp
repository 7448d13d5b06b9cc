#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "halftone/core/plan.hpp"
#include "halftone/graph/site_rules.hpp"

namespace halftone {

/// Sites of one precision: a group, or a site that no rule ties to others.
struct SiteUnit {
  std::string name;                ///< e.g. "layer.0.attention (query, key, value)"
  std::vector<std::size_t> sites;  ///< by position, in network order
  Precision lowest{0, 0};          ///< allowed
};

/// The sites of a network under rules. A plan of units has a precision for each unit that may be lowered at all; the
/// others stay at the highest precision. A value.
class SiteUnits {
 public:
  /// `precisions` are those to choose from. Throws `InvalidArgument` as `ordered_precisions` and `apply_rule`, where a
  /// rule asks for more than the highest precision, and where nothing is left to lower.
  SiteUnits(std::span<const Site> sites, std::span<const SiteRule> rules, std::span<const Precision> precisions);

  /// Those that may be lowered, by their first site.
  [[nodiscard]] const std::vector<SiteUnit>& units() const { return units_; }
  [[nodiscard]] const std::vector<AppliedRule>& rules() const { return rules_; }
  [[nodiscard]] const std::vector<Precision>& precisions() const { return precisions_; }
  /// Sites that are in no unit, in network order.
  [[nodiscard]] const std::vector<std::size_t>& fixed() const { return fixed_; }

  /// `precision`, or the lowest one that `unit` allows.
  [[nodiscard]] Precision allowed(const SiteUnit& unit, Precision precision) const;

  /// The plan of sites for a plan of units.
  [[nodiscard]] Plan expand(const Plan& units) const;
  /// The plan of units for a plan of sites that obeys the rules.
  [[nodiscard]] Plan contract(const Plan& sites) const;
  /// The nearest plan of sites that obeys the rules: groups take the highest precision that a member has, and nothing
  /// is lower than it may be.
  [[nodiscard]] Plan constrain(const Plan& sites) const;
  [[nodiscard]] bool obeys(const Plan& sites) const { return constrain(sites) == sites; }

 private:
  void build(std::span<const Site> sites);

  std::vector<Precision> precisions_;
  std::vector<AppliedRule> rules_;
  std::vector<SiteUnit> units_;
  std::vector<std::size_t> fixed_;
  std::size_t sites_ = 0;
};

}  // namespace halftone
