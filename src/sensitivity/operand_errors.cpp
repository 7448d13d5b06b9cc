#include "sensitivity/operand_errors.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone::internal {

OperandErrors::OperandErrors(const SensitivityInput& input) : input_(input), weights_(input.model.sites.size()) {
  const at::NoGradGuard no_gradient;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    const Site& site = input.model.sites[i];
    if (!site.has_weight()) continue;
    const at::Tensor weight = input.model.tensors[static_cast<std::size_t>(site.weight)].detach();
    for (const Precision precision : input.precisions) {
      const int bits = precision.weight_bits;
      if (bits != 16 && !weights_[i].contains(bits))
        weights_[i][bits] = quantize_weight(site, input.calibration.sites[i], bits, weight) - weight;
    }
  }
}

at::Tensor OperandErrors::weight(std::size_t site, int bits) const {
  const auto found = weights_[site].find(bits);
  return found == weights_[site].end() ? at::Tensor() : found->second;
}

Tensors OperandErrors::inputs(const GradientPass& pass) const {
  const at::NoGradGuard no_gradient;
  Tensors errors;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    std::map<int, at::Tensor> by_bits;
    const at::Tensor activation = pass.inputs[i].detach();
    for (const Precision precision : input_.precisions) {
      const int bits = precision.activation_bits;
      if (bits != 16 && !by_bits.contains(bits))
        by_bits[bits] =
            quantize_input(input_.model.sites[i], input_.calibration.sites[i], bits, activation) - activation;
      errors.push_back(by_bits[bits]);
    }
  }
  return errors;
}

}  // namespace halftone::internal
