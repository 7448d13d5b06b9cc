#pragma once

#include <string>
#include <vector>

#include "halftone/report/run_result.hpp"

namespace halftone::internal {

/// What a reader of this result should be wary of, one sentence or two each, the weightiest first.
std::vector<std::string> caveats(const RunResult& run);

}  // namespace halftone::internal
