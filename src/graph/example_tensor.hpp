#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <random>
#include <vector>

#include "halftone/core/dtype.hpp"

namespace halftone::internal {

/// Something to run a network on: normal floats, integers from 0 to 5 (small, so that they are valid where they are
/// looked up in a table), true.
at::Tensor example_tensor(const std::vector<std::int64_t>& sizes, DType dtype, std::mt19937_64& random);

}  // namespace halftone::internal
