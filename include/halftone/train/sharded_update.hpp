#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "halftone/distributed/communicator.hpp"

namespace torch::optim {
class Optimizer;
class OptimizerParamGroup;
}  // namespace torch::optim

namespace halftone {

/// Makes the optimizer over pieces of parameters, [elements] each, with the options of the groups that they come from.
using OptimizerFactory =
    std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<torch::optim::OptimizerParamGroup> groups)>;

/// Bytes of the tensors that an optimizer keeps beside the weights. Serialises its state: not for every step.
std::int64_t optimizer_state_bytes(const torch::optim::Optimizer& optimizer);

/// Updates weights that are the same on all ranks, each rank its share: gradients are summed to the rank whose shard
/// they belong to, an optimizer of any kind updates that, and weights are gathered. Update time and the optimizer's
/// memory fall as 1 / P; bytes sent are those of one all-reduce of all gradients, 2 (P - 1) / P of them.
///
/// The weights of a group become one buffer, padded to P equal shards, and the parameters views of it, so nothing is
/// copied back; channels-last weights become contiguous. Every rank starts with rank 0's weights. One shard more is
/// kept for gradients and one for weights under way, and one buffer of all gradients.
///
/// An update that works element by element (SGD, Adam, AdamW, RMSprop, Adagrad) gives what it gives for whole tensors,
/// but for the order in which ranks are summed and a last bit where a kernel treats its last elements differently; so
/// do `Lars` and `Lamb`, whose norms are summed up over ranks in one more all-reduce of two numbers a tensor. Another
/// optimizer that needs more than one element of a tensor at once derives from `UsesNorms` or is wrong here.
///
/// Source: Xu et al., *Automatic Cross-Replica Sharding of Weight Update in Data-Parallel Training*, 2020.
class ShardedUpdate {
 public:
  /// All ranks call. `communicator` is borrowed. Throws `InvalidArgument` where a parameter is there twice, is no leaf
  /// or is not of its group's dtype and device, and where ranks hold different ones; `Unsupported` for LBFGS, which
  /// evaluates the loss many times a step.
  ShardedUpdate(Communicator& communicator, const std::vector<torch::optim::OptimizerParamGroup>& groups,
                const OptimizerFactory& make);
  ~ShardedUpdate();
  ShardedUpdate(ShardedUpdate&&) = delete;

  /// Takes one step with the mean of all ranks' gradients; all ranks call. A parameter without a gradient counts as one
  /// whose gradient is 0, so decay and momentum move it. Throws `InvalidArgument` where a parameter was moved
  /// (`Module::to`) after construction.
  void step();
  /// Drops the gradients of all parameters.
  void zero_grad();

  /// Over this rank's pieces: set rates there. Its state saves and loads with torch::save and torch::load, on as many
  /// ranks.
  [[nodiscard]] torch::optim::Optimizer& optimizer() { return *optimizer_; }
  /// Of this rank.
  [[nodiscard]] std::int64_t state_bytes() const { return optimizer_state_bytes(*optimizer_); }

 private:
  struct Group;

  void share_layout();
  void reduce_norms(const at::Tensor& sums);

  Communicator& communicator_;
  std::vector<Group> groups_;
  at::Tensor whole_;  ///< int64 [pieces]: which tensor each belongs to, over all groups
  std::int64_t tensors_ = 0;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
};

}  // namespace halftone
