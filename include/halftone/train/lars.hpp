#pragma once

#include <torch/optim/optimizer.h>

#include <memory>
#include <vector>

#include "halftone/train/norm_reducer.hpp"

namespace halftone {

/// Where the rate comes in: before momentum, or after it. They differ whenever rate x lam changes.
enum class LarsForm {
  Scaled,    ///< v = momentum v + rate lam (g + decay w); w -= v
  Unscaled,  ///< v = momentum v + (g + decay w); w -= rate lam v
};

/// Of a group, in torch::optim's manner: a group that comes with options of its own takes all of them from there.
struct LarsOptions : torch::optim::OptimizerCloneableOptions<LarsOptions> {
  explicit LarsOptions(double rate = 31.2) : rate_(rate) {}
  TORCH_ARG(double, rate);
  TORCH_ARG(double, momentum) = 0.9;
  TORCH_ARG(double, weight_decay) = 1e-4;  ///< beta
  TORCH_ARG(double, eta) = 1e-3;           ///< trust coefficient
  TORCH_ARG(double, epsilon) = 1e-5;
  TORCH_ARG(LarsForm, form) = LarsForm::Scaled;
  TORCH_ARG(bool, adapt) = true;  ///< otherwise lam is 1: plain momentum

 public:
  double get_lr() const override { return rate_; }
  void set_lr(double rate) override { rate_ = rate; }
  void serialize(torch::serialize::InputArchive& archive) override;
  void serialize(torch::serialize::OutputArchive& archive) const override;
};

std::vector<std::string> validate(const LarsOptions& options);

struct LarsParamState : torch::optim::OptimizerCloneableParamState<LarsParamState> {
  TORCH_ARG(at::Tensor, momentum_buffer);

 public:
  void serialize(torch::serialize::InputArchive& archive) override;
  void serialize(torch::serialize::OutputArchive& archive) const override;
};

/// Scales the step of every tensor by lam = eta |w| / (|g| + weight_decay |w| + epsilon), so that large batches train
/// at large rates. lam is 1 where |w| or |g| is 0. Norms are summed in float64, all else is in the parameters' type.
/// Parameters are on one device; those without a gradient are left alone. State: one number a weight.
///
/// Source: You, Gitman and Ginsburg, *Large Batch Training of Convolutional Networks*, 2017 (unscaled form); Kumar et
/// al., *Scale MLPerf-0.6 models on Google TPU-v3 Pods*, 2019 (both forms, constants, what is skipped).
class Lars final : public torch::optim::Optimizer, public UsesNorms {
 public:
  /// Groups without options take `defaults`. Throws `InvalidArgument` for options out of range. Give all groups here:
  /// LibTorch's `add_param_group` drops the options of optimizers that are not its own.
  Lars(const std::vector<torch::optim::OptimizerParamGroup>& groups, const LarsOptions& defaults);
  Lars(std::vector<at::Tensor> parameters, const LarsOptions& defaults);

  /// Two groups of a network's parameters: those of two or more dimensions under `options`; the others, which are
  /// biases and batch norm's, neither adapted nor decayed. An empty one is left out.
  static std::vector<torch::optim::OptimizerParamGroup> groups(const std::vector<at::Tensor>& parameters,
                                                               const LarsOptions& options);

  at::Tensor step(LossClosure closure = nullptr) override;
  void save(torch::serialize::OutputArchive& archive) const override;
  void load(torch::serialize::InputArchive& archive) override;
};

}  // namespace halftone
