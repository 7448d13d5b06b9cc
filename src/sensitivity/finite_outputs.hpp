#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "data/batches.hpp"
#include "halftone/data/dataset.hpp"

namespace halftone::internal {

/// Outputs of a changed network of which a task can make something.
struct FiniteOutputs {
  std::vector<at::Tensor> outputs;  ///< the clean ones of samples that were not finite
  at::Tensor broken;                ///< those samples, bool [n] on the CPU; undefined where there are none
};

FiniteOutputs finite_outputs(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean);

/// Throws `NonFinite` naming metric and sample unless the outputs of the network as trained are finite.
void require_finite_clean(const std::string& metric, const Dataset& data, const BatchRange& batch,
                          const std::vector<at::Tensor>& outputs);

}  // namespace halftone::internal
