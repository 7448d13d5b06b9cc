#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/sensitivity/metrics.hpp"
#include "sensitivity/gradients.hpp"

namespace halftone::internal {

/// Draws of the traces of the Hessian's blocks, of one batch's damage summed over samples: of every site's weight, or
/// of its input where it has none.
class TraceProbe {
 public:
  virtual ~TraceProbe() = default;

  /// By site; unbiased.
  [[nodiscard]] virtual std::vector<double> draw(std::int64_t number) const = 0;
  /// Backward passes before the first draw, and of each.
  [[nodiscard]] virtual double passes_before() const = 0;
  [[nodiscard]] virtual double passes_of_draw() const = 0;
};

/// |J_l^T xi|^2, J the Jacobian of `Task::response` and xi random signs for every output of every sample: one plain
/// backward pass, never negative, and what one site draws owes nothing to the others. Borrows all.
std::unique_ptr<TraceProbe> probe_outputs(const SensitivityInput& input, const std::string& metric,
                                          const GradientPass& pass);

/// v_l . (H v)_l, v random signs times a scale for each site; one product with the Hessian for all weights, and one for
/// all inputs: in one draw, cross terms with activations would swamp the weights. Borrows all.
std::unique_ptr<TraceProbe> probe_weights(const SensitivityInput& input, const std::string& metric,
                                          const GradientPass& pass, const std::vector<double>& scales);

/// Scales that make what a site gets from the others' probes small beside its own trace, from the first batch: |(H
/// v)_l| goes with the root of the trace, so v_l in inverse proportion to it balances all sites.
std::vector<double> balancing_scales(const SensitivityInput& input, const std::string& metric, GradientLoop& loop);

}  // namespace halftone::internal
