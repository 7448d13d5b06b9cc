#include "halftone/train/lamb.hpp"

#include <ATen/ATen.h>
#include <torch/optim/serialize.h>

#include <cmath>

#include "halftone/core/options.hpp"
#include "train/norms.hpp"

namespace halftone {

void LambOptions::serialize(torch::serialize::OutputArchive& archive) const {
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(rate);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(beta1);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(beta2);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(epsilon);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(weight_decay);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(least_trust);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(most_trust);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(adapt);
}

void LambOptions::serialize(torch::serialize::InputArchive& archive) {
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, rate);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, beta1);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, beta2);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, epsilon);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, weight_decay);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, least_trust);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(double, most_trust);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(bool, adapt);
}

void LambParamState::serialize(torch::serialize::OutputArchive& archive) const {
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(step);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(mean);
  _TORCH_OPTIM_SERIALIZE_TORCH_ARG(square);
}

void LambParamState::serialize(torch::serialize::InputArchive& archive) {
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(std::int64_t, step);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(at::Tensor, mean);
  _TORCH_OPTIM_DESERIALIZE_TORCH_ARG(at::Tensor, square);
}

std::vector<std::string> validate(const LambOptions& options) {
  std::vector<std::string> violations;
  const auto need = [&](bool holds, const char* name, double value, const char* allowed) {
    if (!holds) violations.push_back(message(name, " is ", value, ": ", allowed, " is needed"));
  };
  need(options.rate() >= 0, "rate", options.rate(), "at least 0");
  need(options.beta1() >= 0 && options.beta1() < 1, "beta1", options.beta1(), "0 to below 1");
  need(options.beta2() >= 0 && options.beta2() < 1, "beta2", options.beta2(), "0 to below 1");
  need(options.epsilon() >= 0, "epsilon", options.epsilon(), "at least 0");
  need(options.weight_decay() >= 0, "weight_decay", options.weight_decay(), "at least 0");
  need(options.least_trust() >= 0, "least_trust", options.least_trust(), "at least 0");
  need(options.most_trust() >= options.least_trust(), "most_trust", options.most_trust(), "at least least_trust");
  return violations;
}

Lamb::Lamb(const std::vector<torch::optim::OptimizerParamGroup>& groups, const LambOptions& defaults)
    : Optimizer(groups, std::make_unique<LambOptions>(defaults)) {
  require_valid("options of Lamb", validate(defaults));
  for (const auto& group : param_groups())
    require_valid("options of a group of Lamb", validate(static_cast<const LambOptions&>(group.options())));
}

Lamb::Lamb(std::vector<at::Tensor> parameters, const LambOptions& defaults)
    : Lamb({torch::optim::OptimizerParamGroup(std::move(parameters))}, defaults) {}

std::vector<torch::optim::OptimizerParamGroup> Lamb::groups(const std::vector<at::Tensor>& parameters,
                                                            const LambOptions& options) {
  LambOptions of_vectors = options;
  of_vectors.adapt(false).weight_decay(0);
  return internal::groups_by_dimension(parameters, options, of_vectors);
}

namespace {

/// r of one tensor, whose moments move on.
at::Tensor direction(const at::Tensor& w, LambParamState& state, const LambOptions& options) {
  const at::Tensor& g = w.grad();
  state.step(state.step() + 1);
  state.mean().mul_(options.beta1()).add_(g, 1 - options.beta1());
  state.square().mul_(options.beta2()).addcmul_(g, g, 1 - options.beta2());
  const auto steps = static_cast<double>(state.step());
  const double of_mean = 1 - std::pow(options.beta1(), steps);
  const double of_square = 1 - std::pow(options.beta2(), steps);
  const at::Tensor root = (state.square() / of_square).sqrt_().add_(options.epsilon());
  return (state.mean() / of_mean).div_(root).add_(w, options.weight_decay());
}

/// From norms of the whole weight and direction; float64 [].
at::Tensor trust(const LambOptions& options, const at::Tensor& weight, const at::Tensor& direction) {
  if (!options.adapt()) return at::ones_like(weight);
  const at::Tensor ratio = (weight / direction).clamp(options.least_trust(), options.most_trust());
  return at::where((weight > 0).logical_and(direction > 0), ratio, at::ones_like(weight));
}

}  // namespace

at::Tensor Lamb::step(LossClosure closure) {
  const at::NoGradGuard no_gradient;
  at::Tensor loss = internal::loss_of(closure);
  std::vector<std::vector<at::Tensor>> sums(2);  // of weights, of directions
  std::vector<at::Tensor> directions;            // undefined without a gradient
  internal::for_each_parameter<LambOptions>(*this, [&](const at::Tensor& w, const LambOptions& options) {
    at::Tensor& r = directions.emplace_back();
    if (w.grad().defined())
      r = direction(w,
                    internal::state_of<LambParamState>(
                        *this, w, [&] { return LambParamState().mean(at::zeros_like(w)).square(at::zeros_like(w)); }),
                    options);
    const bool counts = options.adapt() && r.defined();
    sums[0].push_back(counts ? internal::squared_norm(w) : internal::no_norm(w));
    sums[1].push_back(counts ? internal::squared_norm(r) : internal::no_norm(w));
  });
  const at::Tensor norms = internal::whole_norms(sums, norm_reducer_);

  std::int64_t next = 0;
  internal::for_each_parameter<LambOptions>(*this, [&](at::Tensor& w, const LambOptions& options) {
    const std::int64_t i = next++;
    at::Tensor& r = directions[static_cast<std::size_t>(i)];
    if (r.defined()) w.sub_(r.mul_(options.rate() * trust(options, norms[0][i], norms[1][i])));
  });
  return loss;
}

void Lamb::save(torch::serialize::OutputArchive& archive) const {
  torch::optim::serialize<LambParamState, LambOptions>(archive, *this);
}

void Lamb::load(torch::serialize::InputArchive& archive) {
  torch::optim::serialize<LambParamState, LambOptions>(archive, *this);
}

}  // namespace halftone
