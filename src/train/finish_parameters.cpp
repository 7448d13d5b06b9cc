#include "train/finish_parameters.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

namespace halftone::internal {

namespace {

constexpr double kLargestFactor = 16;

/// The bias of a convolution or a linear layer is their third argument; -1 for none.
ValueId bias_of(const Model& model, const Site& site) {
  constexpr std::size_t kBias = 2;
  const auto* bias = std::get_if<ValueRef>(&model.graph.nodes[site.node].arguments[kBias]);
  return bias != nullptr && model.graph.values[static_cast<std::size_t>(bias->id)].is_data() ? bias->id : -1;
}

double scale_of(const at::Tensor& tensor) {
  const double rms = std::sqrt(tensor.to(at::kDouble).square().mean().item<double>());
  return rms > 0 && std::isfinite(rms) ? std::exp2(std::round(std::log2(rms))) : 1;
}

}  // namespace

std::vector<ValueId> trained_tensors(const Model& model, const Plan& plan, bool all_sites) {
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const Site& site = model.sites[i];
    if (!site.has_weight() || (plan[i] == k16 && !all_sites)) continue;
    for (const ValueId id : {site.weight, bias_of(model, site)})
      if (id >= 0 && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

FinishParameters::FinishParameters(const Model& model, std::vector<ValueId> ids, const RangeParameters& ranges)
    : ids_(std::move(ids)), start_(ranges.start()) {
  const at::NoGradGuard no_gradient;
  at::TensorOptions type = at::kFloat;
  for (const ValueId id : ids_) {
    const at::Tensor& tensor = model.tensors[static_cast<std::size_t>(id)];
    type = type.device(tensor.device());
    if (tensor.scalar_type() == at::kDouble) type = type.dtype(at::kDouble);
  }
  for (const ValueId id : ids_) {
    const at::Tensor tensor = model.tensors[static_cast<std::size_t>(id)].detach();
    scales_.push_back(scale_of(tensor));
    dtypes_.push_back(tensor.scalar_type());
    tensors_.push_back((tensor.to(type.dtype()) / scales_.back()).contiguous().requires_grad_(true));
  }
  std::vector<double> logs;
  for (std::size_t i = 0; i < start_.size(); ++i)
    if (start_[i] > 0) {
      moving_.push_back(i);
      logs.push_back(std::log(start_[i]));
    }
  first_logs_ = at::tensor(at::ArrayRef<double>(logs), at::kDouble).to(type);
  logs_ = first_logs_.clone().requires_grad_(true);
}

std::int64_t FinishParameters::values() const {
  std::int64_t sum = 0;
  for (const at::Tensor& tensor : tensors_) sum += tensor.numel();
  return sum;
}

void FinishParameters::put_into(Model& model) const {
  const at::NoGradGuard no_gradient;
  for (std::size_t k = 0; k < ids_.size(); ++k)
    model.tensors[static_cast<std::size_t>(ids_[k])] = tensors_[k].mul(scales_[k]).to(dtypes_[k]).requires_grad_(true);
}

std::vector<double> FinishParameters::bounds() const {
  std::vector<double> bounds = start_;
  const at::Tensor logs = logs_.detach().to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor first = first_logs_.to(at::kCPU, at::kDouble).contiguous();
  for (std::size_t k = 0; k < moving_.size(); ++k)
    bounds[moving_[k]] *= std::exp(logs.const_data_ptr<double>()[k] - first.const_data_ptr<double>()[k]);
  return bounds;
}

void FinishParameters::set_gradients(const DamageGradient::Result& slope, double factor) {
  const at::NoGradGuard no_gradient;
  for (std::size_t k = 0; k < ids_.size(); ++k) {
    const at::Tensor& of_tensor = slope.trained[k];
    if (of_tensor.defined())
      tensors_[k].mutable_grad() = of_tensor.to(tensors_[k].scalar_type()).mul(scales_[k] * factor);
    else
      tensors_[k].mutable_grad().reset();
  }
  const std::vector<double> now = bounds();
  std::vector<double> of_logs;
  for (const std::size_t i : moving_) of_logs.push_back(slope.gradient[i] * now[i] * factor);
  logs_.mutable_grad() = at::tensor(at::ArrayRef<double>(of_logs), at::kDouble).to(logs_.options());
}

void FinishParameters::clamp() {
  const at::NoGradGuard no_gradient;
  const double most = std::log(kLargestFactor);
  logs_.copy_(logs_.detach().maximum(first_logs_ - most).minimum(first_logs_ + most));
}

}  // namespace halftone::internal
