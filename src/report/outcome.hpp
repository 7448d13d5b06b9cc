#pragma once

#include <string>

#include "halftone/report/run_result.hpp"

namespace halftone::internal {

/// What came out, in a sentence or two.
std::string outcome(const RunResult& run);

/// What was asked for: "99.9 % of the accuracy", "at most 0.03 damage", "a latency of -30 %".
std::string asked_for(const RunResult& run, const Gate& gate);

}  // namespace halftone::internal
