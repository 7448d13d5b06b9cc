#include "halftone/train/lars.hpp"

#include <ATen/ATen.h>
#include <torch/optim/serialize.h>

#include "halftone/core/options.hpp"
#include "train/norms.hpp"

namespace halftone {

void LarsOptions::serialize(torch::serialize::OutputArchive& archive) const {
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(rate);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(momentum);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(weight_decay);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(eta);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(epsilon);
  archive.write("scaled", torch::IValue(form() == LarsForm::Scaled));
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(adapt);
}

void LarsOptions::serialize(torch::serialize::InputArchive& archive) {
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, rate);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, momentum);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, weight_decay);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, eta);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, epsilon);
  torch::IValue scaled;
  archive.read("scaled", scaled);
  form(scaled.toBool() ? LarsForm::Scaled : LarsForm::Unscaled);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(bool, adapt);
}

void LarsParamState::serialize(torch::serialize::OutputArchive& archive) const {
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(momentum_buffer);
}

void LarsParamState::serialize(torch::serialize::InputArchive& archive) {
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(at::Tensor, momentum_buffer);
}

std::vector<std::string> validate(const LarsOptions& options) {
  std::vector<std::string> violations;
  const auto at_least_0 = [&](const char* name, double value) {
    if (!(value >= 0)) violations.push_back(message(name, " is ", value, ": at least 0 is needed"));
  };
  at_least_0("rate", options.rate());
  at_least_0("momentum", options.momentum());
  at_least_0("weight_decay", options.weight_decay());
  at_least_0("eta", options.eta());
  at_least_0("epsilon", options.epsilon());
  return violations;
}

Lars::Lars(const std::vector<torch::optim::OptimizerParamGroup>& groups, const LarsOptions& defaults)
    : Optimizer(groups, std::make_unique<LarsOptions>(defaults)) {
  require_valid("options of Lars", validate(defaults));
  for (const auto& group : param_groups())
    require_valid("options of a group of Lars", validate(static_cast<const LarsOptions&>(group.options())));
}

Lars::Lars(std::vector<at::Tensor> parameters, const LarsOptions& defaults)
    : Lars({torch::optim::OptimizerParamGroup(std::move(parameters))}, defaults) {}

std::vector<torch::optim::OptimizerParamGroup> Lars::groups(const std::vector<at::Tensor>& parameters,
                                                            const LarsOptions& options) {
  LarsOptions of_vectors = options;
  of_vectors.adapt(false).weight_decay(0);
  return internal::groups_by_dimension(parameters, options, of_vectors);
}

namespace {

/// From norms of the whole weight and gradient; float64 [].
at::Tensor lam(const LarsOptions& options, const at::Tensor& weight, const at::Tensor& gradient) {
  if (!options.adapt()) return at::ones_like(weight);
  const at::Tensor ratio = options.eta() * weight / (gradient + options.weight_decay() * weight + options.epsilon());
  return at::where((weight > 0).logical_and(gradient > 0), ratio, at::ones_like(weight));
}

/// `scale` is rate lam.
void update(at::Tensor& w, at::Tensor& v, const LarsOptions& options, const at::Tensor& scale) {
  at::Tensor step = w.grad().add(w, options.weight_decay());
  if (options.form() == LarsForm::Scaled) {
    v.mul_(options.momentum()).add_(step.mul_(scale));
    w.sub_(v);
  } else {
    v.mul_(options.momentum()).add_(step);
    w.sub_(v * scale);
  }
}

}  // namespace

at::Tensor Lars::step(LossClosure closure) {
  const at::NoGradGuard no_gradient;
  at::Tensor loss = internal::loss_of(closure);
  std::vector<std::vector<at::Tensor>> sums(2);  // of weights, of gradients
  internal::for_each_parameter<LarsOptions>(*this, [&](const at::Tensor& w, const LarsOptions& options) {
    const bool counts = options.adapt() && w.grad().defined();
    sums[0].push_back(counts ? internal::squared_norm(w) : internal::no_norm(w));
    sums[1].push_back(counts ? internal::squared_norm(w.grad()) : internal::no_norm(w));
  });
  const at::Tensor norms = internal::whole_norms(sums, norm_reducer_);

  std::int64_t next = 0;
  internal::for_each_parameter<LarsOptions>(*this, [&](at::Tensor& w, const LarsOptions& options) {
    const std::int64_t i = next++;
    if (!w.grad().defined()) return;
    auto& state = internal::state_of<LarsParamState>(
        *this, w, [&] { return LarsParamState().momentum_buffer(at::zeros_like(w)); });
    update(w, state.momentum_buffer(), options, options.rate() * lam(options, norms[0][i], norms[1][i]));
  });
  return loss;
}

void Lars::save(torch::serialize::OutputArchive& archive) const {
  torch::optim::serialize<LarsParamState, LarsOptions>(archive, *this);
}

void Lars::load(torch::serialize::InputArchive& archive) {
  torch::optim::serialize<LarsParamState, LarsOptions>(archive, *this);
}

}  // namespace halftone
