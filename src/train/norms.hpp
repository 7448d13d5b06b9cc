#pragma once

#include <torch/optim/optimizer.h>

#include <vector>

#include "halftone/train/norm_reducer.hpp"

namespace halftone::internal {

/// Sum of squares of a tensor, float64 [].
at::Tensor squared_norm(const at::Tensor& tensor);
/// What stands for it where none is asked for: 0.
at::Tensor no_norm(const at::Tensor& tensor);

/// Norms of whole tensors, float64 [quantities, tensors], from sums of squares of what is here: [quantity][tensor].
at::Tensor whole_norms(const std::vector<std::vector<at::Tensor>>& sums, const NormReducer& reducer);

/// The parameters of two or more dimensions under one copy of options, the others under another.
std::vector<torch::optim::OptimizerParamGroup> groups_by_dimension(const std::vector<at::Tensor>& parameters,
                                                                   const torch::optim::OptimizerOptions& of_weights,
                                                                   const torch::optim::OptimizerOptions& of_vectors);

/// The loss that `closure` computes, with gradients; undefined without a closure.
at::Tensor loss_of(const torch::optim::Optimizer::LossClosure& closure);

/// Calls `work(parameter, options)` for every parameter, group by group.
template <class Options, class Work>
void for_each_parameter(torch::optim::Optimizer& optimizer, const Work& work) {
  for (auto& group : optimizer.param_groups())
    for (auto& parameter : group.params()) work(parameter, static_cast<const Options&>(group.options()));
}

/// The state of `parameter`; `make()` makes it at first.
template <class State, class Make>
State& state_of(torch::optim::Optimizer& optimizer, const at::Tensor& parameter, const Make& make) {
  auto& state = optimizer.state()[parameter.unsafeGetTensorImpl()];
  if (!state) state = std::make_unique<State>(make());
  return static_cast<State&>(*state);
}

}  // namespace halftone::internal
