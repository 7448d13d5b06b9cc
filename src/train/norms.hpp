#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "halftone/train/norm_reducer.hpp"

namespace halftone::internal {

/// Sum of squares of a tensor, float64 [].
at::Tensor squared_norm(const at::Tensor& tensor);

/// Norms of whole tensors, float64 [quantities, tensors], from sums of squares of what is here: [quantity][tensor].
at::Tensor whole_norms(const std::vector<std::vector<at::Tensor>>& sums, const NormReducer& reducer);

}  // namespace halftone::internal
