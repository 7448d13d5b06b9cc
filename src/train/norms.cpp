#include "train/norms.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace halftone::internal {

at::Tensor squared_norm(const at::Tensor& tensor) {
  return at::linalg_vector_norm(tensor, 2, std::nullopt, false, at::kDouble).square();
}

at::Tensor no_norm(const at::Tensor& tensor) { return at::zeros({}, tensor.options().dtype(at::kDouble)); }

at::Tensor whole_norms(const std::vector<std::vector<at::Tensor>>& sums, const NormReducer& reducer) {
  std::vector<at::Tensor> rows;
  for (const auto& row : sums) rows.push_back(row.empty() ? at::zeros({0}, at::kDouble) : at::stack(row));
  const at::Tensor all = at::stack(rows);
  if (reducer) reducer(all);
  return all.sqrt();
}

std::vector<torch::optim::OptimizerParamGroup> groups_by_dimension(const std::vector<at::Tensor>& parameters,
                                                                   const torch::optim::OptimizerOptions& of_weights,
                                                                   const torch::optim::OptimizerOptions& of_vectors) {
  std::vector<at::Tensor> weights;
  std::vector<at::Tensor> vectors;
  for (const auto& parameter : parameters) (parameter.dim() >= 2 ? weights : vectors).push_back(parameter);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  if (!weights.empty()) groups.emplace_back(std::move(weights), of_weights.clone());
  if (!vectors.empty()) groups.emplace_back(std::move(vectors), of_vectors.clone());
  return groups;
}

void restore_options(torch::optim::Optimizer& optimizer, const std::vector<torch::optim::OptimizerParamGroup>& groups) {
  for (std::size_t i = 0; i < groups.size(); ++i)
    if (groups[i].has_options()) optimizer.param_groups()[i].set_options(groups[i].options().clone());
}

at::Tensor loss_of(const torch::optim::Optimizer::LossClosure& closure) {
  if (!closure) return {};
  const at::AutoGradMode with_gradients(true);
  return closure();
}

}  // namespace halftone::internal
