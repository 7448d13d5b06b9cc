#pragma once

#include <ATen/core/Tensor.h>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/calibrate/histogram.hpp"

namespace halftone::internal {

/// Clip limits of a weight by the chosen method, exact on its values, with the mean squared error that they make.
/// Mean squared error: per channel the best of `candidates` equal fractions of its largest magnitude, the larger of
/// equals. Cost: candidates x elements.
WeightRange choose_weight_range(const at::Tensor& weight, int channel_axis, int bits, const RangeOptions& options);

}  // namespace halftone::internal
