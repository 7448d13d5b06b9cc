#include "sensitivity/gradients.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <numeric>
#include <utility>

#include "data/shared_batches.hpp"
#include "graph/device.hpp"
#include "halftone/core/error.hpp"
#include "sensitivity/finite_outputs.hpp"
#include "sensitivity/gradient_checks.hpp"
#include "sensitivity/random.hpp"

namespace halftone::internal {

namespace {

/// Hands every site variables of its own and keeps them.
class Variables final : public SiteVisitor {
 public:
  Variables(const Model& model, bool of_inputs)
      : weights(model.sites.size()), inputs(model.sites.size()), of_inputs_(of_inputs) {
    for (const Node& node : model.graph.nodes) writes_in_place_ = writes_in_place_ || !node.written.empty();
  }

  at::Tensor input(std::size_t index, const at::Tensor& activation) override {
    if (!of_inputs_) return activation;
    // A view would follow what is written into the activation later.
    const at::Tensor own = writes_in_place_ ? activation.clone() : activation.view_as(activation);
    return inputs[index] = own.requires_grad() ? own : own.detach().requires_grad_();
  }
  at::Tensor weight(std::size_t index, const at::Tensor& weight) override {
    return weights[index] = weight.detach().requires_grad_();
  }

  Tensors weights;
  Tensors inputs;

 private:
  bool of_inputs_;
  bool writes_in_place_ = false;
};

/// Of all that one pass computes for one sample.
std::int64_t activation_bytes(const Graph& graph) {
  std::int64_t bytes = 0;
  for (const Value& value : graph.values) {
    if (value.is_data()) continue;
    const auto sizes = sizes_at(value.shape, graph.sizes(1));
    const auto element = static_cast<std::int64_t>(info(value.dtype).bytes);
    bytes += std::accumulate(sizes.begin(), sizes.end(), element, std::multiplies<>());
  }
  return std::max<std::int64_t>(bytes, 1);
}

Tensors with_zeros(Tensors gradients, const Tensors& variables) {
  for (std::size_t i = 0; i < gradients.size(); ++i)
    if (!gradients[i].defined()) gradients[i] = at::zeros_like(variables[i]);
  return gradients;
}

}  // namespace

Tensors products(const std::string& metric, const Tensors& outputs, const Tensors& directions,
                 const Tensors& variables) {
  Tensors sources;
  Tensors weights;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].requires_grad()) continue;  // constant: its derivative is 0
    sources.push_back(outputs[i]);
    weights.push_back(directions[i]);
  }
  if (sources.empty()) return with_zeros(Tensors(variables.size()), variables);
  return with_zeros(differentiate(metric,
                                  [&] {
                                    return torch::autograd::grad(sources, variables, weights, /*retain_graph=*/true,
                                                                 /*create_graph=*/false, /*allow_unused=*/true);
                                  }),
                    variables);
}

Tensors differentiable_gradient(const std::string& metric, const at::Tensor& value, const Tensors& variables) {
  return with_zeros(differentiate(metric,
                                  [&] {
                                    return torch::autograd::grad({value}, variables, {}, /*retain_graph=*/true,
                                                                 /*create_graph=*/true, /*allow_unused=*/true);
                                  }),
                    variables);
}

at::Tensor response_of(const SensitivityInput& input, const std::string& metric, const GradientPass& pass) {
  at::Tensor response = input.task.response(pass.outputs, pass.clean);
  if (!response.requires_grad()) refuse(metric, message("the response of task ", input.task.name(), " has none"));
  return response;
}

at::Tensor signs_of_samples(const at::Tensor& response, const BatchRange& batch, std::uint64_t seed) {
  Tensors signs;
  for (std::int64_t n = batch.begin; n < batch.end; ++n)
    signs.push_back(random_signs(response[0], mix(seed, static_cast<std::uint64_t>(n))));
  return at::stack(signs);
}

GradientLoop::GradientLoop(const SensitivityInput& input, std::string metric, const Options& options)
    : input_(input), metric_(std::move(metric)), options_(options), interpreter_(input.model) {
  require_samples(metric_, input);
  require_float_sites(metric_, input.model);
  sample_bytes_ = activation_bytes(input.model.graph) * options.copies;
  if (sample_bytes_ > input.most_bytes)
    throw Error(Errc::InvalidArgument, message("metric ", metric_, " needs about ", sample_bytes_,
                                               " bytes for the activations and gradients of one sample, most_bytes is ",
                                               input.most_bytes, ": raise it, or take metric damage or error"));
  // By memory there are fewer samples a batch, and then fewer threads: batches, which random draws depend on, must not
  // depend on the number of threads.
  batch_size_ = std::min(input.most_bytes / sample_bytes_, input.batch_size);
  threads_ =
      static_cast<int>(std::clamp<std::int64_t>(input.most_bytes / (sample_bytes_ * batch_size_), 1, input.threads));
}

std::int64_t GradientLoop::batches() const { return (input_.data.size() + batch_size_ - 1) / batch_size_; }

GradientPass GradientLoop::forward(const BatchRange& batch) const {
  const auto inputs = move_to(device_of(input_.model), input_.data.range(batch.begin, batch.end).inputs);
  Variables variables(input_.model, options_.inputs);
  GradientPass pass{.batch = batch};
  try {
    pass.outputs = interpreter_.run(inputs, &variables);
  } catch (const c10::Error& error) {
    if (is_out_of_memory(error)) throw;
    const at::NoGradGuard no_gradient;
    (void)interpreter_.run(inputs);  // throws too where gradients are not to blame
    refuse(metric_, message("LibTorch cannot differentiate this network: ", error.what_without_backtrace()));
  }
  for (const auto& output : pass.outputs) pass.clean.push_back(output.detach());
  require_finite_clean(metric_, input_.data, batch, pass.clean);
  pass.weights = std::move(variables.weights);
  pass.inputs = std::move(variables.inputs);
  return pass;
}

void GradientLoop::run(std::int64_t steps, const WorkFn& work, const TakeFn& take, std::int64_t most_batches) {
  const std::int64_t samples = std::min(input_.data.size(), most_batches * batch_size_);
  const BatchLoop batches{samples, batch_size_, threads_, "sense", metric_};
  std::atomic<bool> stopped = false;
  std::atomic<std::int64_t> done = 0;
  const auto consult = [&] {
    input_.monitor.report({.stage = "sense", .done = done, .total = samples * steps, .detail = metric_});
    if (input_.monitor.stopped()) stopped = true;
    return stopped.load();
  };
  const Monitor monitor{.on_progress = {}, .should_stop = consult};
  std::vector<double> backward(static_cast<std::size_t>(batches.batches()));
  const auto make = [&](const BatchRange& batch, std::size_t worker) -> std::optional<BatchResult> {
    const c10::InferenceMode with_gradients(false);
    const std::int64_t count = batch.end - batch.begin;
    try {
      const GradientPass pass = forward(batch);
      if (batch.index == 0 && !is_tried_) try_out(pass, stopped);
      const Work done_work = work(pass, [&] {
        done += count;
        if (worker == 0) consult();
        if (stopped) throw Stopped();
      });
      return BatchResult{at::tensor(done_work.results, at::kDouble),
                         at::tensor(done_work.backward_passes * static_cast<double>(count), at::kDouble)};
    } catch (const Stopped&) {
      return std::nullopt;
    } catch (const c10::Error& error) {
      if (!is_out_of_memory(error)) throw;
      throw Error(Errc::InvalidArgument, message("metric ", metric_, ": memory ran out at a batch of ", count,
                                                 " samples of about ", sample_bytes_,
                                                 " bytes each: lower batch_size or most_bytes, or take metric damage "
                                                 "or error"));
    }
  };
  const auto take_result = [&](const BatchRange& batch, const BatchResult& result) {
    take(batch.index, {result[0].const_data_ptr<double>(), static_cast<std::size_t>(result[0].numel())});
    backward[static_cast<std::size_t>(batch.index)] = result[1].item<double>();
  };
  const bool completed =
      share_batches(input_.team, message(metric_, ", run ", ++runs_), batches, monitor, make, take_result);
  if (!completed || stopped) throw Stopped();
  is_tried_ = true;
  const auto all = static_cast<double>(input_.data.size());
  forward_passes_ += static_cast<double>(samples) / all;
  for (const double passes : backward) backward_passes_ += passes / all;
}

}  // namespace halftone::internal
