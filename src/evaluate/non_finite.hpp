#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace halftone::internal {

/// Where outputs hold NaN or infinity.
struct NonFiniteOutput {
  std::size_t output = 0;
  std::int64_t sample = 0;  ///< within the batch
};

/// The first such sample of the first such output; outputs are [n, …].
std::optional<NonFiniteOutput> find_non_finite(const std::vector<at::Tensor>& outputs);

}  // namespace halftone::internal
