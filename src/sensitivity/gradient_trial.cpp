// Whether a network and a task have the gradients that a metric needs, tried on a first batch.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <map>

#include "graph/device.hpp"
#include "halftone/core/error.hpp"
#include "sensitivity/gradient_checks.hpp"
#include "sensitivity/gradients.hpp"
#include "sensitivity/random.hpp"
#include "sensitivity/response_check.hpp"

namespace halftone::internal {

namespace {

/// Weights and inputs, site by site.
struct PassVariables {
  Tensors tensors;
  std::vector<std::size_t> sites;  ///< of each
};

PassVariables variables_of(const GradientPass& pass) {
  PassVariables variables;
  for (std::size_t i = 0; i < pass.weights.size(); ++i)
    for (const auto& variable : {pass.weights[i], pass.inputs[i]})
      if (variable.defined()) {
        variables.tensors.push_back(variable);
        variables.sites.push_back(i);
      }
  return variables;
}

/// Of a random weighting of all outputs, in the order of `variables_of`; undefined where nothing leads to one.
Tensors random_gradients(const std::string& metric, const GradientPass& pass) {
  Tensors outputs;
  Tensors directions;
  for (const auto& output : pass.outputs) {
    if (!output.requires_grad()) continue;
    outputs.push_back(output);
    directions.push_back(random_normal(output, outputs.size()));
  }
  if (outputs.empty()) refuse(metric, "no output of this network has a gradient");
  return differentiate(metric, [&] {
    return torch::autograd::grad(outputs, variables_of(pass).tensors, directions, /*retain_graph=*/true,
                                 /*create_graph=*/false, /*allow_unused=*/true);
  });
}

}  // namespace

void GradientLoop::try_out(const GradientPass& pass, const std::atomic<bool>& stopped) const {
  require_reached(pass, stopped);
  if (options_.second) require_curved_damage(metric_, input_.task, pass.clean, input_.seed);
  if (!options_.response) return;
  (void)response_of(input_, metric_, pass);
  require_fitting_response(metric_, input_.task, pass.clean, input_.seed);
}

void GradientLoop::require_reached(const GradientPass& pass, const std::atomic<bool>& stopped) const {
  const Tensors gradients = random_gradients(metric_, pass);
  const std::vector<std::size_t> sites = variables_of(pass).sites;
  const auto is_flat = [](const at::Tensor& gradient) { return !gradient.defined() || !gradient.any().item<bool>(); };
  const auto inputs = move_to(device_of(input_.model), input_.data.range(pass.batch.begin, pass.batch.end).inputs);
  const auto none_reaches = [&](std::size_t site, std::size_t output, const char* why) {
    refuse(metric_, message("none reaches site \"", input_.model.sites[site].name, "\", which output ", output,
                            " depends on: an operator behind it ", why));
  };
  std::map<std::size_t, std::size_t> flat;  // variables, and an output that depends on each
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (!is_flat(gradients[i])) continue;
    const auto output = affected_output(input_.model, interpreter_, inputs, pass.clean, sites[i]);
    if (!output) continue;
    if (!gradients[i].defined()) none_reaches(sites[i], *output, "has no derivative");
    flat.emplace(i, *output);
  }
  // A unit may be silent, or saturated, on some samples: others decide.
  for (std::int64_t begin = pass.batch.end; !flat.empty() && begin < input_.data.size(); begin += batch_size_) {
    if (stopped) throw Stopped();
    const Tensors others =
        random_gradients(metric_, forward({0, begin, std::min(begin + batch_size_, input_.data.size())}));
    std::erase_if(flat, [&](const auto& entry) { return !is_flat(others[entry.first]); });
  }
  if (!flat.empty())
    none_reaches(sites[flat.begin()->first], flat.begin()->second,
                 "has a derivative of 0 on all samples, as where it rounds, or where it is saturated");
}

}  // namespace halftone::internal
