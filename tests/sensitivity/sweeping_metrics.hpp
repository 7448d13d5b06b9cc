#pragma once

#include <memory>
#include <vector>

#include "halftone/sensitivity/metrics.hpp"

namespace halftone {

/// One of each that goes through the network change by change.
inline std::vector<std::unique_ptr<SensitivityMetric>> sweeping_metrics() {
  std::vector<std::unique_ptr<SensitivityMetric>> metrics;
  metrics.push_back(make_damage());
  metrics.push_back(make_noise());
  metrics.push_back(make_interlayer());
  metrics.push_back(make_measured_pairs());
  return metrics;
}

}  // namespace halftone
