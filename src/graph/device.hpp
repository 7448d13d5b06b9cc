#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "halftone/graph/model.hpp"

namespace halftone::internal {

/// Where the model's parameters are; the CPU for a model without any.
inline at::Device device_of(const Model& model) {
  for (std::size_t id = 0; id < model.tensors.size(); ++id)
    if (model.graph.values[id].kind == ValueKind::Parameter) return model.tensors[id].device();
  return at::kCPU;
}

inline std::vector<at::Tensor> move_to(at::Device device, std::vector<at::Tensor> tensors) {
  for (auto& tensor : tensors) tensor = tensor.to(device);
  return tensors;
}

}  // namespace halftone::internal
