#include "train/norms.hpp"

#include <ATen/ATen.h>

namespace halftone::internal {

at::Tensor squared_norm(const at::Tensor& tensor) {
  return at::linalg_vector_norm(tensor, 2, std::nullopt, false, at::kDouble).square();
}

at::Tensor whole_norms(const std::vector<std::vector<at::Tensor>>& sums, const NormReducer& reducer) {
  std::vector<at::Tensor> rows;
  for (const auto& row : sums) rows.push_back(row.empty() ? at::zeros({0}, at::kDouble) : at::stack(row));
  const at::Tensor all = at::stack(rows);
  if (reducer) reducer(all);
  return all.sqrt();
}

}  // namespace halftone::internal
