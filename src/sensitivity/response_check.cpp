#include "sensitivity/response_check.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "halftone/core/error.hpp"
#include "sensitivity/random.hpp"

namespace halftone::internal {

void require_fitting_response(const std::string& metric, const Task& task, const std::vector<at::Tensor>& clean,
                              std::uint64_t seed) {
  constexpr double kStep = 1e-3;      // of a root mean square of at most 1: what is cubic in it is too little to see
  constexpr double kTolerance = 0.1;  // of the larger one
  constexpr double kRounding = 1e-14;
  const at::NoGradGuard no_gradient;
  std::vector<at::Tensor> references;
  std::vector<at::Tensor> outputs;
  double rounding = 0;
  for (const at::Tensor& output : clean) {
    references.push_back(output);
    outputs.push_back(output);
    if (!output.is_floating_point() || output.numel() == 0) continue;
    at::Tensor& x = references.back();
    x = output.to(at::kDouble);
    const double size = x.square().mean().sqrt().item<double>();
    const double step = kStep * (size > 0 ? std::min(size, 1.0) : 1.0);
    outputs.back() = x + random_normal(x, mix(seed, references.size())) * step;
    rounding = std::max(rounding, kRounding * (1 + x.abs().max().item<double>()));
  }
  double damage = 0;
  double half = 0;
  try {
    damage = task.damage(outputs, references).mean().item<double>();
    half = task.response(outputs, references).square().sum(1).mean().item<double>() / 2;
  } catch (const c10::Error&) {
    return;
  }
  if (std::abs(damage - half) <= kTolerance * std::max(damage, half) + rounding) return;
  throw Error(Errc::Unsupported,
              message("metric ", metric, ": the response of task ", task.name(),
                      " does not fit its damage: a small change of the outputs does damage ", damage,
                      ", and half the squared length of its response is ", half,
                      ", which must be about the same: override Task::do_response, or take metric damage or error"));
}

}  // namespace halftone::internal
