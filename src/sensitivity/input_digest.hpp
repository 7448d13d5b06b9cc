#pragma once

#include <string>

#include "halftone/sensitivity/metric.hpp"

namespace halftone::internal {

/// Fingerprint of all that a metric's results depend on, but for batch size, threads and memory. Reads every sample.
std::string input_digest(const SensitivityInput& input);

}  // namespace halftone::internal
