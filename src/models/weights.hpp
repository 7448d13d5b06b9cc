#pragma once

#include <string>
#include <vector>

#include "halftone/graph/capture.hpp"

namespace halftone::internal {

/// Copies a safetensors file into `parameters` (of `architecture`). Every parameter must be there with its shape, and
/// nothing else; batch norm's `num_batches_tracked` may be missing. Throws `BadFile` that lists what does not fit.
void load_weights(const std::string& path, const std::string& architecture, const std::vector<NamedTensor>& parameters);

}  // namespace halftone::internal
