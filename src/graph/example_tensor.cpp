#include "graph/example_tensor.hpp"

#include <ATen/ATen.h>

#include "core/scalar_type.hpp"

namespace halftone::internal {

at::Tensor example_tensor(const std::vector<std::int64_t>& sizes, DType dtype, std::mt19937_64& random) {
  constexpr std::int64_t kIds = 6;
  std::normal_distribution<double> normal;
  at::Tensor tensor = at::ones(sizes, at::kDouble);
  double* const values = tensor.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < tensor.numel() && dtype != DType::Bool; ++i)
    values[i] = info(dtype).floating ? normal(random) : static_cast<double>((i + i / kIds) % kIds);
  return tensor.to(to_scalar_type(dtype));
}

}  // namespace halftone::internal
