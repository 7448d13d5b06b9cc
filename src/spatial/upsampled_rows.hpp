#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "halftone/distributed/communicator.hpp"
#include "halftone/spatial/operators.hpp"

namespace halftone::internal {

/// This rank's rows of an image `factor` times as high, made by `upsample` from some neighbouring rows of `x`.
SplitImage upsampled_rows(const SplitImage& x, std::int64_t factor, Upsampling how,
                          const std::function<at::Tensor(const at::Tensor& rows)>& upsample,
                          Communicator& communicator);

/// Rows of `y` without what `window_rows` made of nothing.
at::Tensor without_dummy(const at::Tensor& y, const RowSplit& outputs, int rank);

}  // namespace halftone::internal
