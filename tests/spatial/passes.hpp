#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "halftone/graph/interpreter.hpp"
#include "halftone/spatial/spatial_network.hpp"
#include "spatial/networks.hpp"

/// Forward and backward passes of a whole network, and of one rank's rows.
namespace networks {

using namespace halftone;

/// A copy whose parameters are its own, with gradients; `leaves` gets them.
inline Model trained(Model model, Tensors& leaves) {
  for (std::size_t id = 0; id < model.tensors.size(); ++id)
    if (const Value& value = model.graph.values[id]; value.kind == ValueKind::Parameter && !is_buffer(value.name)) {
      model.tensors[id] = model.tensors[id].detach().clone().requires_grad_();
      leaves.push_back(model.tensors[id]);
    }
  return model;
}

/// A loss that tells every number of the outputs from the others.
inline at::Tensor loss(const Tensors& outputs) {
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    sum = sum + (outputs[i].square() * doubles(outputs[i].sizes().vec(), static_cast<std::uint32_t>(50 + i))).sum();
  return sum;
}

struct Pass {
  Tensors outputs;
  Tensors gradients;  ///< of the input, then of parameters
};

template <class Run>
Pass pass(const Model& network, const at::Tensor& x, double share, const Run& run) {
  Tensors sources{x.detach().clone().requires_grad_()};
  const Model model = trained(network, sources);
  Pass result;
  result.outputs = run(model, sources[0]);
  result.gradients = torch::autograd::grad({loss(result.outputs) * share}, sources, {}, std::nullopt, false, true);
  for (auto& output : result.outputs) output = output.detach();
  return result;
}

/// The gradients of a rank are of its share of the loss, which every rank computes as a whole.
inline Pass whole_pass(const Model& network, const at::Tensor& x) {
  return pass(network, x, 1,
              [](const Model& model, const at::Tensor& input) { return Interpreter(model).run(std::span(&input, 1)); });
}
inline Pass spatial_pass(const Model& network, const at::Tensor& x, Communicator& ranks,
                         const SpatialOptions& options = {}) {
  return pass(network, x, 1.0 / ranks.size(), [&](const Model& model, const at::Tensor& input) {
    const SpatialNetwork spatial(model, ranks, options);
    return spatial.run(spatial.split_inputs(std::span(&input, 1)));
  });
}

}  // namespace networks
