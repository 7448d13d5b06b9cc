#include "sensitivity/gradient_checks.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "halftone/core/error.hpp"
#include "sensitivity/random.hpp"

namespace halftone::internal {

namespace {

/// Puts something else in the place of what a site reads.
class Disturbed final : public SiteVisitor {
 public:
  Disturbed(std::size_t site, bool has_weight) : site_(site), has_weight_(has_weight) {}

  at::Tensor input(std::size_t index, const at::Tensor& activation) override {
    return index == site_ && !has_weight_ ? disturbed(activation) : activation;
  }
  at::Tensor weight(std::size_t index, const at::Tensor& weight) override {
    return index == site_ ? disturbed(weight) : weight;
  }

 private:
  static at::Tensor disturbed(const at::Tensor& x) { return x + x.abs().max() + 1; }

  std::size_t site_;
  bool has_weight_;
};

}  // namespace

void refuse(const std::string& metric, const std::string& reason) {
  throw Error(Errc::Unsupported, message("metric ", metric, " needs gradients: ", reason,
                                         ". Metrics interlayer and damage work without gradients"));
}

void require_samples(const std::string& metric, const SensitivityInput& input) {
  if (input.data.size() > 0) return;
  throw Error(Errc::InvalidArgument,
              message("metric ", metric, ": ", input.data.name(), " holds no samples: 128 to 500 are needed"));
}

void require_float_sites(const std::string& metric, const Model& model) {
  for (const Site& site : model.sites)
    for (const ValueId id : {site.input, site.weight}) {
      if (id < 0) continue;
      const DType dtype = model.graph.values[static_cast<std::size_t>(id)].dtype;
      if (dtype != DType::Float32 && dtype != DType::Float64)
        refuse(metric, message("site \"", site.name, "\" reads ", info(dtype).name, ", float32 or float64 is needed"));
    }
}

bool is_out_of_memory(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  const std::string text = error.what_without_backtrace();
  return text.find("can't allocate memory") != std::string::npos || text.find("not enough memory") != std::string::npos;
}

std::optional<std::size_t> affected_output(const Model& model, const Interpreter& interpreter,
                                           const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& clean,
                                           std::size_t site) {
  const at::NoGradGuard no_gradient;
  Disturbed disturbed(site, model.sites[site].has_weight());
  const auto outputs = interpreter.run(inputs, &disturbed);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (!at::equal(outputs[i], clean[i])) return i;
  return std::nullopt;
}

void require_curved_damage(const std::string& metric, const Task& task, const std::vector<at::Tensor>& clean,
                           std::uint64_t seed) {
  const auto missing = [&](const char* what) {
    refuse(metric,
           message("the damage of task ", task.name(), " has no ", what, " where outputs equal the clean ones"));
  };
  std::vector<at::Tensor> references;
  std::vector<at::Tensor> outputs;
  std::vector<at::Tensor> variables;
  for (const auto& output : clean) {
    const bool is_float = output.is_floating_point();
    references.push_back(is_float ? random_normal(output, mix(seed, references.size())) : output);
    outputs.push_back(is_float ? references.back().clone().requires_grad_() : output);
    if (is_float) variables.push_back(outputs.back());
  }
  const at::Tensor damage = task.damage(outputs, references).sum();
  if (!damage.requires_grad()) missing("gradient");
  const auto gradients = torch::autograd::grad({damage}, variables, {}, /*retain_graph=*/true, /*create_graph=*/true,
                                               /*allow_unused=*/true);
  at::Tensor product;  // of the gradient with a fixed direction
  for (const auto& gradient : gradients) {
    if (!gradient.defined() || !gradient.requires_grad()) continue;
    const at::Tensor part = (gradient * random_normal(gradient, seed)).sum().to(at::kDouble);
    product = product.defined() ? product + part : part;
  }
  if (!product.defined()) missing("second derivative");
  const auto curvature = torch::autograd::grad({product}, variables, {}, /*retain_graph=*/false,
                                               /*create_graph=*/false, /*allow_unused=*/true);
  const bool is_curved = std::any_of(curvature.begin(), curvature.end(), [](const auto& part) {
    return part.defined() && part.any().template item<bool>();
  });
  if (!is_curved) missing("second derivative");
}

}  // namespace halftone::internal
