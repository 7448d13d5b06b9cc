#pragma once

#include <string>

#include "halftone/report/run_result.hpp"

namespace halftone::internal {

/// What came out, in a sentence or two.
std::string outcome(const RunResult& run);

/// What was asked for: "99.9 %", "at most 0.03" (damage), "-30.0 %" (latency).
std::string asked_for(const RunResult& run, const Gate& gate);

}  // namespace halftone::internal
