#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "halftone/search/search.hpp"

namespace halftone::testing {

struct CheckSearchOptions {
  /// Evaluations that one search may take: so many for each site and precision below the first, and ten more.
  double most_evaluations = 2;
};

/// What `strategy` does wrong, in words; empty where all is well. Searches made-up problems of 1 to 12 sites, with and
/// without costs of conversion, under evaluators that pass all, nothing, by a budget of damage, or by chance. The
/// result must be the baseline or a plan that was evaluated and passed, and no slower than the baseline; plans must
/// hold the problem's precisions only, never be scored twice, and be the same every time; a stop request must end the
/// search, whenever it comes, with the best plan so far; an evaluator's exceptions must reach the caller. Needs no
/// LibTorch and no test framework.
std::vector<std::string> check_search(const SearchStrategy& strategy, const CheckSearchOptions& options = {});

}  // namespace halftone::testing
