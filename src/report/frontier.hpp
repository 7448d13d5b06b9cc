#pragma once

#include <cstddef>
#include <vector>

#include "halftone/report/run_result.hpp"

namespace halftone::internal {

/// Steps of plans that were scored on all samples and of which no other, nor the baseline, is as fast and scores as
/// much: fastest first. Latency as predicted.
std::vector<std::size_t> frontier(const RunResult& run);

}  // namespace halftone::internal
