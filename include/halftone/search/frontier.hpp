#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "halftone/search/search.hpp"

namespace halftone {

/// A plan with what is predicted of it.
struct PredictedPlan {
  Plan plan;
  double latency = 0;
  double damage = 0;
};

struct FrontierOptions {
  std::size_t most_enumerated = 1 << 16;  ///< plans; with more, the frontier is searched, not enumerated
  std::size_t most_paired = 64;           ///< sites up to which neighbours of a plan differ in two sites, not one
};

std::vector<std::string> validate(const FrontierOptions& options);

/// Plans of `precisions` of which no other is known that is as fast and predicted to damage as little, slowest first,
/// so that latency falls and damage rises, behind all sites at the first precision, which always come first. Exact
/// where all plans can be enumerated. Else the plans that minimise latency + w x damage for many w, by descent over
/// single sites and neighbours from the plan of the w before, plans reached from these by lowering one site after the
/// other, and what changing one or two sites of any of them brings. Source: docs/methods.md, section 5.
std::vector<PredictedPlan> predicted_frontier(std::span<const Site> sites, std::span<const Precision> precisions,
                                              const LatencyModel& latency, const PredictedDamage& damage,
                                              const FrontierOptions& options = {});

/// Bisects the predicted frontier by true evaluations: all sites that gain at the second precision first, then plans
/// faster than that where it passes, plans predicted to damage less where it fails. Needs the problem's sensitivities,
/// which it asks for where not all is decided by the first evaluation. At most ceil(log2(plans + 1)) evaluations of the
/// list, and one; how many plans there are shows when they are predicted.
class Frontier final : public SearchStrategy {
 public:
  explicit Frontier(const FrontierOptions& options = {});
  [[nodiscard]] std::string name() const override { return "frontier"; }

 private:
  void do_search(const SearchProblem& problem, SearchRun& run) const override;

  FrontierOptions options_;
};

}  // namespace halftone
