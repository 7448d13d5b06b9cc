#pragma once

#include <ATen/core/Tensor.h>

#include "halftone/quant/quantizer.hpp"

namespace halftone {

/// `x` quantized to integers and back, per tensor, in x's own dtype (bfloat16 and float16 are computed in float32).
/// With gradients on: straight through where the rounded value needs no clipping, zero elsewhere.
at::Tensor fake_quantize(const at::Tensor& x, const QuantParams& params);

/// The same per channel along `axis`: scale [channels], zero point 0, limits -qmax … qmax.
at::Tensor fake_quantize_channels(const at::Tensor& x, const at::Tensor& scale, int qmax, int axis);

/// The integers behind `fake_quantize_channels`, int8, on the CPU: `fake_quantize_channels` gives them times the scale.
at::Tensor quantize_channels(const at::Tensor& x, const at::Tensor& scale, int qmax, int axis);

/// `x` rounded to bfloat16 and back to its own dtype; the gradient passes unchanged.
at::Tensor fake_bfloat16(const at::Tensor& x);

/// Differentiable in the range too, for tuning ranges by backpropagation. With s = bound / qmax:
///   dQ/dbound = (round(x/s) - x/s) / qmax inside the clip, |x| <= bound; +1 above, -1 below;
///   dQ/dx = 1 inside, 0 outside.
/// x any shape; bound [] or [channels] along `axis`, in x's dtype.
at::Tensor fake_quantize_symmetric(const at::Tensor& x, const at::Tensor& bound, int qmax, int axis = 0);

/// Per tensor over [low, high] with low <= 0 <= high (both [] in x's dtype) and 2^bits levels. Inside the clip
/// dQ/dhigh = (round(x/s + z) - z - x/s) / (2^bits - 1) = -dQ/dlow; above it dQ/dhigh = 1; below it dQ/dlow = 1.
/// Source: Bhalgat et al., LSQ+, 2020, section 3, with the zero point z = round(-low / s) held straight-through.
at::Tensor fake_quantize_affine(const at::Tensor& x, const at::Tensor& low, const at::Tensor& high, int bits);

}  // namespace halftone
