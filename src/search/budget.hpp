#pragma once

#include <algorithm>
#include <cstdint>

#include "halftone/search/search.hpp"

namespace halftone::internal {

/// Whether `evaluations` and `seconds` use up one of the budgets.
inline bool is_spent(const SearchLimits& limits, std::int64_t evaluations, double seconds) {
  return (limits.most_evaluations > 0 && evaluations >= limits.most_evaluations) ||
         (limits.most_seconds > 0 && seconds >= limits.most_seconds);
}

/// The budget of seconds less `seconds`; what is spent stays above 0, which would be no limit.
inline double seconds_left(const SearchLimits& limits, double seconds) {
  constexpr double kLeast = 1e-9;
  return limits.most_seconds > 0 ? std::max(kLeast, limits.most_seconds - seconds) : 0;
}

}  // namespace halftone::internal
