#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <map>
#include <vector>

#include "halftone/sensitivity/metric.hpp"
#include "sensitivity/gradients.hpp"

namespace halftone::internal {

/// What quantization does to the operands of sites, Q(x) - x. An operand at 16 bits is as in the baseline: it has none.
class OperandErrors {
 public:
  /// Borrows `input`. Quantizes the weights of all sites at all precisions.
  explicit OperandErrors(const SensitivityInput& input);

  /// Undefined where there is none.
  [[nodiscard]] at::Tensor weight(std::size_t site, int bits) const;
  /// By row of `single_changes`, from the inputs of a pass; undefined where there is none.
  [[nodiscard]] Tensors inputs(const GradientPass& pass) const;

 private:
  const SensitivityInput& input_;
  std::vector<std::map<int, at::Tensor>> weights_;
};

}  // namespace halftone::internal
