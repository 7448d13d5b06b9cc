#pragma once

#include "adjust/clean_batches.hpp"
#include "adjust/range_parameters.hpp"

namespace halftone::internal {

/// Fills in the mean squared errors of the ranges that are parameters: of weights on their values, of inputs on what
/// the clean network computes. One forward pass; false when stopped, with errors of inputs unknown.
bool measure_errors(const Workplace& place, const Dataset& data, const RangeParameters& parameters,
                    std::int64_t batch_size, Calibration& calibration);

}  // namespace halftone::internal
