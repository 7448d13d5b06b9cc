#pragma once

#include <torch/optim/optimizer.h>

#include <limits>
#include <memory>
#include <vector>

#include "halftone/train/norm_reducer.hpp"

namespace halftone {

/// Of a group, in torch::optim's manner: a group that comes with options of its own takes all of them from there.
struct LambOptions : torch::optim::OptimizerCloneableOptions<LambOptions> {
  explicit LambOptions(double rate = 1e-3) : rate_(rate) {}
  TORCH_ARG(double, rate);
  TORCH_ARG(double, beta1) = 0.9;
  TORCH_ARG(double, beta2) = 0.999;
  TORCH_ARG(double, epsilon) = 1e-6;
  TORCH_ARG(double, weight_decay) = 0.01;
  TORCH_ARG(double, least_trust) = 0;  ///< bounds of the trust ratio
  TORCH_ARG(double, most_trust) = std::numeric_limits<double>::infinity();
  TORCH_ARG(bool, adapt) = true;  ///< otherwise the trust ratio is 1: Adam with decoupled decay

 public:
  double get_lr() const override { return rate_; }
  void set_lr(double rate) override { rate_ = rate; }
  void serialize(torch::serialize::InputArchive& archive) override;
  void serialize(torch::serialize::OutputArchive& archive) const override;
};

std::vector<std::string> validate(const LambOptions& options);

struct LambParamState : torch::optim::OptimizerCloneableParamState<LambParamState> {
  TORCH_ARG(std::int64_t, step) = 0;
  TORCH_ARG(at::Tensor, mean);    ///< of gradients
  TORCH_ARG(at::Tensor, square);  ///< mean of their squares

 public:
  void serialize(torch::serialize::InputArchive& archive) override;
  void serialize(torch::serialize::OutputArchive& archive) const override;
};

/// Adam whose step in every tensor is as long as the tensor: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2)
/// g^2; r = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay w; w -= rate |w| / |r| r. The trust
/// ratio |w| / |r| is 1 where either norm is 0, else within its bounds. Norms are summed in float64, all else is in the
/// parameters' type. Parameters are on one device; those without a gradient are left alone. State: two numbers a
/// weight.
///
/// Source: You et al., *Large Batch Optimization for Deep Learning: Training BERT in 76 minutes*, 2020, algorithm 2.
/// There |w| is bounded; here the ratio is, as implementations do.
class Lamb final : public torch::optim::Optimizer, public UsesNorms {
 public:
  /// Groups without options take `defaults`. Throws `InvalidArgument` for options out of range. Give all groups here:
  /// LibTorch's `add_param_group` drops the options of optimizers that are not its own.
  Lamb(const std::vector<torch::optim::OptimizerParamGroup>& groups, const LambOptions& defaults);
  Lamb(std::vector<at::Tensor> parameters, const LambOptions& defaults);

  /// Two groups of a network's parameters: those of two or more dimensions under `options`; the others, which are
  /// biases and norms', neither adapted nor decayed. An empty one is left out.
  static std::vector<torch::optim::OptimizerParamGroup> groups(const std::vector<at::Tensor>& parameters,
                                                               const LambOptions& options);

  at::Tensor step(LossClosure closure = nullptr) override;
  void save(torch::serialize::OutputArchive& archive) const override;
  void load(torch::serialize::InputArchive& archive) override;
};

}  // namespace halftone
