#pragma once

#include "halftone/search/search.hpp"

namespace halftone::internal {

/// Lowers single sites of the best plan so far, or two neighbours together, largest gain per predicted damage first, as
/// long as tries are left. Nothing where the search is over, damage cannot be predicted, or nothing is left to gain.
void repair(const SearchProblem& problem, SearchRun& run);

}  // namespace halftone::internal
