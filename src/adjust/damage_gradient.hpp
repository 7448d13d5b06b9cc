#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "adjust/clean_batches.hpp"
#include "adjust/range_parameters.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone::internal {

/// Mean damage of a plan, differentiable in the bounds of its ranges. Borrows everything but `plan`.
class DamageGradient {
 public:
  /// Ranges that are no parameters are those of `calibration`.
  DamageGradient(const Workplace& place, const Calibration& calibration, const Plan& plan,
                 const RangeParameters& parameters);

  struct Result {
    double damage = 0;
    std::vector<double> gradient;  ///< by bound
  };

  /// Over the samples of the batches listed. Nothing when stopped. Throws `Unsupported` where there is no gradient.
  [[nodiscard]] std::optional<Result> at(const std::vector<double>& bounds, const CleanBatches& batches,
                                         std::span<const std::size_t> chosen) const;

 private:
  class Visitor;
  struct Leaves;

  [[nodiscard]] Leaves make_leaves(const std::vector<double>& bounds) const;
  /// Sum of damage over one batch, and its gradients in all leaves.
  [[nodiscard]] double backward(const Leaves& leaves, const CleanBatches& batches, std::size_t batch,
                                std::vector<at::Tensor>& gradients) const;

  const Workplace& place_;
  const Calibration& calibration_;
  Plan plan_;
  const RangeParameters& parameters_;
  QuantizedWeights fixed_weights_;
  std::vector<std::ptrdiff_t> input_of_site_;   ///< into parameters_.inputs(); -1: does not move
  std::vector<std::ptrdiff_t> weight_of_site_;  ///< into parameters_.weights(); likewise
};

}  // namespace halftone::internal
