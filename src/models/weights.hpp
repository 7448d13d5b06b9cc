#pragma once

#include <string>
#include <vector>

#include "halftone/graph/capture.hpp"
#include "halftone/models/architecture.hpp"

namespace halftone::internal {

/// Copies a file of weights, under the names that its rules give, into `parameters` (of `architecture`). Every
/// parameter must be there with its shape, and nothing else but names that begin as one of `left_out`; batch norm's
/// `num_batches_tracked` may be missing. Throws `BadFile` that lists what does not fit.
void load_weights(const WeightsFile& weights, const std::string& architecture,
                  const std::vector<NamedTensor>& parameters, const std::vector<std::string>& left_out = {});

}  // namespace halftone::internal
