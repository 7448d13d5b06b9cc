#pragma once

#include <string>
#include <vector>

#include "halftone/sensitivity/metric.hpp"

namespace halftone::testing {

/// How far scores may differ, as shares of the largest score at their precision, beyond four standard errors, and pairs
/// as shares of the largest pair.
struct CheckMetricOptions {
  double site_order = 1e-6;
  double batch_size = 0.01;  ///< sums of floats are rounded otherwise, and quantizing turns that into whole steps
};

/// What `metric` does wrong on `input`, in words; empty where all is well. Its tables must be complete, finite, and the
/// same to the last byte every time and for any number of threads; scores and pairs may not depend on the order in
/// which sites are listed or on the batch size; scores are half the diagonal of pairs times their scale; model,
/// calibration and data must stay as they are; a request to stop must end it with `Stopped`, before it starts and half
/// way. Scores clamped at 0 are no violation. Give it a small model and a few batches of data: it measures eight times.
/// A metric that samples needs draws enough to know its errors: of 2 draws, one score in 17 is off by more than four of
/// them by chance. Needs no test framework.
std::vector<std::string> check_metric(const SensitivityMetric& metric, const SensitivityInput& input,
                                      const CheckMetricOptions& options = {});

}  // namespace halftone::testing
