#pragma once

#include <cstddef>
#include <vector>

#include "halftone/search/search.hpp"

namespace halftone::internal {

/// `plan` with those of `sites` at `target` that make it faster together: islands between sites at another precision,
/// alone or in runs, stay as they are. `sites` are in network order. Cost: an estimate for every run of sites where
/// they share the cost of conversions, else one for every site.
Plan lower_useful(const SearchProblem& problem, const Plan& plan, const std::vector<std::size_t>& sites,
                  Precision target);

/// Sites that make the plan faster at `target`, together, and were not found to lose too much at a precision above it.
std::vector<std::size_t> candidates(const SearchProblem& problem, const Plan& plan, const std::vector<bool>& settled,
                                    Precision target);

/// `sites` in the problem's order, safest first. Throws `Internal` unless that is a permutation of them.
Ordering ordered(const SearchProblem& problem, const Plan& plan, Precision target,
                 const std::vector<std::size_t>& sites);

}  // namespace halftone::internal
