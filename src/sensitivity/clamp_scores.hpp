#pragma once

#include "halftone/sensitivity/metric.hpp"

namespace halftone::internal {

/// Negative scores become 0, those that are not finite the largest finite one at their precision, with a standard error
/// of 0 and pairs with no other. Throws as `SensitivityMetric::measure` where a score is missing or none is finite.
void clamp_scores(SensitivityTable& table, const SensitivityInput& input);

}  // namespace halftone::internal
