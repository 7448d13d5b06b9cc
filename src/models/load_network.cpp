#include "models/load_network.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace halftone::internal {

SeededDraws::SeededDraws(std::uint64_t seed)
    : generator_(at::detail::getDefaultCPUGenerator()), before_(generator_.clone()) {
  generator_.set_current_seed(seed);
}

SeededDraws::~SeededDraws() { generator_.set_state(before_.get_state()); }

void draw_convolutions(const std::vector<NamedTensor>& parameters) {
  const at::NoGradGuard no_grad;
  for (const auto& parameter : parameters) {
    const at::Tensor& weight = parameter.tensor;
    if (weight.dim() != 4) continue;
    const auto inputs = static_cast<double>(weight.numel() / weight.size(0));
    weight.normal_(0, std::sqrt(2 / inputs));
  }
}

}  // namespace halftone::internal
