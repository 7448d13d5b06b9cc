#pragma once

#include "halftone/sensitivity/metric.hpp"

namespace halftone::internal {

/// What `metric` measures, as an earlier run left it in the journal where that has it, whole, and left there for a
/// later one where it has not. Without a journal `metric.measure(input)`. Throws as that does.
SensitivityTable find_or_measure(const SensitivityMetric& metric, const SensitivityInput& input);

}  // namespace halftone::internal
