#include "adjust/damage_gradient.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/batches.hpp"
#include "halftone/core/error.hpp"
#include "halftone/quant/fake_quantize.hpp"

namespace halftone::internal {

namespace {

/// The type that `x` is quantized in.
at::ScalarType working_type(const at::Tensor& x) {
  return at::isReducedFloatingType(x.scalar_type()) ? at::kFloat : x.scalar_type();
}

at::Tensor leaf(const at::Tensor& tensor) { return tensor.detach().requires_grad_(true); }

bool has_gradient(const std::vector<at::Tensor>& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const at::Tensor& tensor) { return tensor.requires_grad(); });
}

}  // namespace

/// What gradients are taken in. Weights are quantized once a step, not once a batch: batches give gradients in the
/// quantized weight, and their sum goes back to its bounds and values.
struct DamageGradient::Leaves {
  std::vector<at::Tensor> inputs;     ///< low and high of every input in turn, float64 []
  std::vector<at::Tensor> bounds;     ///< of every weight, float64 [channels]; undefined where they stay
  std::vector<at::Tensor> quantized;  ///< from bounds and values
  std::vector<at::Tensor> weights;    ///< the same, cut off from them
  std::vector<at::Tensor> trained;    ///< as read by others than sites: biases

  /// Inputs, then weights, then trained tensors.
  [[nodiscard]] std::vector<at::Tensor> all() const {
    std::vector<at::Tensor> list = inputs;
    list.insert(list.end(), weights.begin(), weights.end());
    list.insert(list.end(), trained.begin(), trained.end());
    return list;
  }
};

class DamageGradient::Visitor final : public SiteVisitor {
 public:
  Visitor(const DamageGradient& owner, const Leaves& leaves)
      : owner_(owner), leaves_(leaves), shared_(owner.parameters_.inputs().size()) {}

  at::Tensor input(std::size_t index, const at::Tensor& activation) override {
    const int bits = owner_.plan_[index].activation_bits;
    const std::ptrdiff_t moved = owner_.input_of_site_[index];
    if (moved < 0)
      return quantize_input(owner_.place_.model.sites[index], owner_.calibration_.sites[index], bits, activation);
    const auto slot = static_cast<std::size_t>(moved);
    Shared& shared = shared_[slot];
    if (!shared.source.is_same(activation)) {
      const at::ScalarType type = working_type(activation);
      shared.quantized = fake_quantize_affine(activation, leaves_.inputs[2 * slot].to(type),
                                              leaves_.inputs[2 * slot + 1].to(type), bits);
      shared.source = activation;
    }
    return shared.quantized;
  }

  at::Tensor weight(std::size_t index, const at::Tensor&) override {
    const std::ptrdiff_t moved = owner_.weight_of_site_[index];
    return moved < 0 ? owner_.fixed_weights_.get(index, owner_.plan_[index].weight_bits)
                     : leaves_.weights[static_cast<std::size_t>(moved)];
  }

 private:
  struct Shared {
    at::Tensor source;
    at::Tensor quantized;
  };

  const DamageGradient& owner_;
  const Leaves& leaves_;
  std::vector<Shared> shared_;
};

DamageGradient::DamageGradient(const Workplace& place, const Calibration& calibration, const Plan& plan,
                               const RangeParameters& parameters, std::vector<ValueId> trained)
    : place_(place),
      calibration_(calibration),
      plan_(plan),
      parameters_(parameters),
      fixed_weights_(place.model, calibration),
      input_of_site_(plan.size(), -1),
      trained_(std::move(trained)),
      weight_of_site_(plan.size(), -1) {
  fixed_weights_.prepare(plan);
  const auto& sites = place.model.sites;
  for (std::size_t k = 0; k < parameters.inputs().size(); ++k) {
    const auto& input = parameters.inputs()[k];
    for (std::size_t i = 0; i < sites.size(); ++i)
      if (sites[i].input == sites[input.site].input && plan[i].activation_bits == input.bits)
        input_of_site_[i] = static_cast<std::ptrdiff_t>(k);
  }
  for (std::size_t i = 0; i < sites.size(); ++i) {
    Weight weight{.site = i};
    for (const auto& range : parameters.weights())
      if (range.site == i) weight.range = &range;
    if (const auto at = std::find(trained_.begin(), trained_.end(), sites[i].weight); at != trained_.end())
      weight.trained = at - trained_.begin();
    if (weight.range == nullptr && weight.trained < 0) continue;
    weight_of_site_[i] = std::ssize(weights_);
    weights_.push_back(weight);
  }
}

DamageGradient::Leaves DamageGradient::make_leaves(const std::vector<double>& bounds) const {
  Leaves leaves;
  for (const auto& input : parameters_.inputs()) {
    leaves.inputs.push_back(leaf(at::scalar_tensor(-bounds[input.at], at::kDouble)));
    leaves.inputs.push_back(leaf(at::scalar_tensor(bounds[input.at + 1], at::kDouble)));
  }
  for (const Weight& moved : weights_) {
    const Site& site = place_.model.sites[moved.site];
    at::Tensor weight = place_.model.tensors[static_cast<std::size_t>(site.weight)];
    if (moved.trained < 0) weight = weight.detach();
    if (moved.range == nullptr) {
      leaves.bounds.emplace_back();
      leaves.quantized.push_back(
          quantize_weight(site, calibration_.sites[moved.site], plan_[moved.site].weight_bits, weight));
    } else {
      const at::ArrayRef<double> numbers(bounds.data() + moved.range->at, moved.range->channels);
      leaves.bounds.push_back(leaf(at::tensor(numbers, at::kDouble).to(weight.device())));
      leaves.quantized.push_back(fake_quantize_symmetric(weight, leaves.bounds.back().to(working_type(weight)),
                                                         weight_params(1, moved.range->bits).qmax,
                                                         site.weight_channel_axis));
    }
    leaves.weights.push_back(leaf(leaves.quantized.back()));
  }
  for (const ValueId id : trained_) leaves.trained.push_back(place_.model.tensors[static_cast<std::size_t>(id)]);
  for (auto& input : leaves.inputs)
    if (!leaves.weights.empty()) input = leaf(input.to(leaves.weights.front().device()));
  return leaves;
}

double DamageGradient::backward(const Leaves& leaves, const CleanBatches& batches, std::size_t batch,
                                std::vector<at::Tensor>& gradients) const {
  const at::AutoGradMode with_gradients(true);
  Visitor visitor(*this, leaves);
  const auto outputs = place_.interpreter.run(batches.inputs(place_.model, batch), &visitor);
  if (!has_gradient(outputs))
    throw Error(Errc::Unsupported,
                "adjusting ranges: the network's outputs have no gradient, for it cuts every path to them off: leave "
                "adjusting out");
  const at::Tensor sum = loss(place_, batches, batch, outputs).sum();
  if (!sum.requires_grad())
    throw Error(Errc::Unsupported, message("adjusting ranges: the damage of task ", place_.task.name(),
                                           " has no gradient: leave adjusting out, or compute Task::do_damage with "
                                           "differentiable operators"));
  gradients = torch::autograd::grad({sum}, leaves.all(), {}, /*retain_graph=*/false, /*create_graph=*/false,
                                    /*allow_unused=*/true);
  return sum.item<double>();
}

std::optional<DamageGradient::Result> DamageGradient::at(const std::vector<double>& bounds, const CleanBatches& batches,
                                                         std::span<const std::size_t> chosen, double divisor) const {
  const at::AutoGradMode with_gradients(true);
  const Leaves leaves = make_leaves(bounds);
  std::vector<double> damage(chosen.size());
  std::vector<std::vector<at::Tensor>> parts(chosen.size());
  const BatchLoop loop{std::ssize(parts), 1, place_.threads, "adjust"};
  const bool completed = for_each_batch(loop, place_.monitor, [&](const BatchRange& item, std::size_t) {
    const auto part = static_cast<std::size_t>(item.index);
    damage[part] = backward(leaves, batches, chosen[part], parts[part]);
  });
  if (!completed) return std::nullopt;

  // In the order of batches: the same bits for any number of threads.
  const at::NoGradGuard no_gradient;
  if (divisor == 0)
    for (const std::size_t batch : chosen) divisor += static_cast<double>(batches.samples_in(batch));
  std::vector<at::Tensor> sums(leaves.all().size());
  for (std::size_t k = 0; k < sums.size(); ++k)
    for (const auto& part : parts)
      if (part[k].defined()) sums[k] = sums[k].defined() ? sums[k].add_(part[k]) : part[k].clone();
  Result result{.damage = std::accumulate(damage.begin(), damage.end(), 0.0) / divisor,
                .gradient = std::vector<double>(bounds.size()),
                .trained = std::vector<at::Tensor>(trained_.size())};
  collect(leaves, sums, result);
  for (double& slope : result.gradient) slope /= divisor;
  for (at::Tensor& slope : result.trained)
    if (slope.defined()) slope.div_(divisor);
  return result;
}

void DamageGradient::collect(const Leaves& leaves, const std::vector<at::Tensor>& sums, Result& result) const {
  for (std::size_t k = 0; k < parameters_.inputs().size(); ++k) {
    const std::size_t first = parameters_.inputs()[k].at;
    if (const at::Tensor& low = sums[2 * k]; low.defined()) result.gradient[first] = -low.item<double>();
    if (const at::Tensor& high = sums[2 * k + 1]; high.defined()) result.gradient[first + 1] = high.item<double>();
  }
  const std::size_t weights = leaves.inputs.size();
  for (std::size_t j = 0; j < trained_.size(); ++j) result.trained[j] = sums[weights + weights_.size() + j];
  for (std::size_t k = 0; k < weights_.size(); ++k) {
    if (!sums[weights + k].defined()) continue;
    const Weight& moved = weights_[k];
    std::vector<at::Tensor> sources;
    if (moved.range != nullptr) sources.push_back(leaves.bounds[k]);
    if (moved.trained >= 0) sources.push_back(leaves.trained[static_cast<std::size_t>(moved.trained)]);
    const auto slopes = torch::autograd::grad({leaves.quantized[k]}, sources, {sums[weights + k]});
    if (moved.range != nullptr) {
      const at::Tensor of_bounds = slopes.front().to(at::kCPU).contiguous();
      const auto* const numbers = of_bounds.const_data_ptr<double>();
      for (std::size_t c = 0; c < moved.range->channels; ++c) result.gradient[moved.range->at + c] += numbers[c];
    }
    if (moved.trained < 0) continue;
    at::Tensor& sum = result.trained[static_cast<std::size_t>(moved.trained)];
    sum = sum.defined() ? sum + slopes.back() : slopes.back().clone();
  }
}

}  // namespace halftone::internal
