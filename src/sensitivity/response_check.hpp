#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/evaluate/task.hpp"

namespace halftone::internal {

/// Throws `Unsupported`, naming metric and task, unless half the squared length of `Task::response` is the damage of a
/// small random change of the clean outputs, in float64. A task that takes no float64 is not tried.
void require_fitting_response(const std::string& metric, const Task& task, const std::vector<at::Tensor>& clean,
                              std::uint64_t seed);

}  // namespace halftone::internal
