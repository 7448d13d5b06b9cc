#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "halftone/latency/latency_model.hpp"

namespace halftone::testing {

struct CheckLatencyOptions {
  int plans = 20;  ///< drawn at random, beside the uniform ones
  std::uint64_t seed = 1;
};

/// What `model` does wrong for `sites` at `precisions` (the first is the baseline), in words; empty where all is well.
/// Estimates of uniform and random plans must be positive and finite, and the same whenever they are asked for; what a
/// site gains must be the difference of two estimates, and lost again on the way back. Needs no test framework.
std::vector<std::string> check_latency_model(const LatencyModel& model, std::span<const Site> sites,
                                             std::span<const Precision> precisions,
                                             const CheckLatencyOptions& options = {});

}  // namespace halftone::testing
