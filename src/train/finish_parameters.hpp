#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "adjust/damage_gradient.hpp"
#include "adjust/range_parameters.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/graph/model.hpp"
#include "halftone/train/finish.hpp"

namespace halftone::internal {

/// What results depend on.
std::string describe(const FinishOptions& options);

/// Weights and biases of the sites below 16 bits under `plan`, or of all, once each, in the order of sites.
std::vector<ValueId> trained_tensors(const Model& model, const Plan& plan, bool all_sites);

/// What finishing moves, as the optimizer sees it. A tensor is its values in units of its root mean square, rounded to
/// a power of two so that nothing is lost either way: one rate suits all. A bound is its logarithm; one that is 0
/// stays. All are float32, or float64 where a tensor is.
class FinishParameters {
 public:
  FinishParameters(const Model& model, std::vector<ValueId> ids, const RangeParameters& ranges);

  [[nodiscard]] const std::vector<ValueId>& ids() const { return ids_; }
  [[nodiscard]] std::int64_t values() const;
  /// Leaves, to be changed in place.
  [[nodiscard]] const std::vector<at::Tensor>& tensors() const { return tensors_; }
  [[nodiscard]] const at::Tensor& logs() const { return logs_; }  ///< [bounds that move]

  /// Puts the tensors into `model`, new ones at each call, as leaves that take gradients.
  void put_into(Model& model) const;
  /// As they are now; those that do not move as they were.
  [[nodiscard]] std::vector<double> bounds() const;
  /// The gradients of a loss, times `factor`.
  void set_gradients(const DamageGradient::Result& slope, double factor);
  /// Keeps every bound within a factor of its start, so that whatever the rate nothing overflows.
  void clamp();

 private:
  std::vector<ValueId> ids_;
  std::vector<double> scales_;          ///< by tensor
  std::vector<at::ScalarType> dtypes_;  ///< of the model's
  std::vector<at::Tensor> tensors_;
  std::vector<double> start_;        ///< all bounds
  std::vector<std::size_t> moving_;  ///< into start_
  at::Tensor logs_;
  at::Tensor first_logs_;
};

}  // namespace halftone::internal
