#pragma once

#include <string>

#include "halftone/sensitivity/metric.hpp"

namespace halftone::internal {

/// Fingerprint of all that a metric's results depend on, but for batch size and memory, with the versions of what
/// computes and stores them. What `input` has as its digest; else reads every sample, on its threads. Throws `Stopped`.
std::string input_digest(const SensitivityInput& input);

}  // namespace halftone::internal
