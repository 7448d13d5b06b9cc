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

/// Mean loss of a plan, differentiable in the bounds of its ranges and in tensors of the model. Borrows everything but
/// `plan`.
class DamageGradient {
 public:
  /// Ranges that are no parameters are those of `calibration`. `trained`: tensors of the model whose gradients are
  /// asked for; whenever `at` is called they are leaves that require them, of whatever values.
  DamageGradient(const Workplace& place, const Calibration& calibration, const Plan& plan,
                 const RangeParameters& parameters, std::vector<ValueId> trained = {});

  struct Result {
    double damage = 0;
    std::vector<double> gradient;     ///< by bound
    std::vector<at::Tensor> trained;  ///< by tensor; undefined where the loss does not depend on it
  };

  /// Sums over the samples of the batches listed, by `divisor`; where that is 0, by their number. Nothing when stopped.
  /// Throws `Unsupported` where there is no gradient.
  [[nodiscard]] std::optional<Result> at(const std::vector<double>& bounds, const CleanBatches& batches,
                                         std::span<const std::size_t> chosen, double divisor = 0) const;

 private:
  class Visitor;
  struct Leaves;
  /// The weight of a site that moves, by its bounds or its values.
  struct Weight {
    std::size_t site = 0;
    const RangeParameters::Weight* range = nullptr;  ///< null: bounds stay
    std::ptrdiff_t trained = -1;                     ///< into trained_; -1: values stay
  };

  [[nodiscard]] Leaves make_leaves(const std::vector<double>& bounds) const;
  /// Sum of damage over one batch, and its gradients in all leaves.
  [[nodiscard]] double backward(const Leaves& leaves, const CleanBatches& batches, std::size_t batch,
                                std::vector<at::Tensor>& gradients) const;
  /// From the gradients of leaves to those of bounds and tensors, which they are added to.
  void collect(const Leaves& leaves, const std::vector<at::Tensor>& sums, Result& result) const;

  const Workplace& place_;
  const Calibration& calibration_;
  Plan plan_;
  const RangeParameters& parameters_;
  QuantizedWeights fixed_weights_;
  std::vector<std::ptrdiff_t> input_of_site_;  ///< into parameters_.inputs(); -1: does not move
  std::vector<ValueId> trained_;
  std::vector<Weight> weights_;
  std::vector<std::ptrdiff_t> weight_of_site_;  ///< into weights_; likewise
};

}  // namespace halftone::internal
