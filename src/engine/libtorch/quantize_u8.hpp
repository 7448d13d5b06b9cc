#pragma once

#include <ATen/core/Tensor.h>

#include "halftone/quant/quantizer.hpp"

namespace halftone::internal {

/// The integers of `x` (floating, any shape) as uint8 in x's layout: what `fake_quantize` gives, bit for bit, before it
/// goes back to real numbers. A NaN becomes some integer. One thread, one pass over memory: composed of ATen operators
/// it takes ten times as long (32 x 16 x 32 x 32 in bfloat16: as long as the convolution that reads it).
at::Tensor quantize_u8(const at::Tensor& x, const QuantParams& params);

}  // namespace halftone::internal
