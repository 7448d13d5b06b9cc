#pragma once

#include <string>
#include <vector>

#include "halftone/report/run_result.hpp"

namespace halftone::internal {

/// One of the few figures that a run comes down to.
struct HeadlineFigure {
  std::string label;   ///< "Latency against 16 bits"
  std::string value;   ///< "-50.0 %"
  std::string basis;   ///< where it comes from, in a word: "measured", "modelled", "deployed"
  std::string detail;  ///< "0.98 ms, 1.96 ms at 16 bits; openvino 2026.4.1, batch 1, 2 threads"
};

/// Quality kept, latency against all at 16 and at 8 bits, weights; without what is not known.
std::vector<HeadlineFigure> headline(const RunResult& run);

}  // namespace halftone::internal
