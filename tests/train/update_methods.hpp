#pragma once

#include <ATen/ATen.h>
#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <string>
#include <vector>

#include "halftone/train/lamb.hpp"
#include "halftone/train/lars.hpp"
#include "halftone/train/sharded_update.hpp"
#include "train/small_net.hpp"

/// Every optimizer that an update can be sharded for, on a small network, as a whole and in shards.
namespace updates {

using namespace halftone;

using Groups = std::vector<torch::optim::OptimizerParamGroup>;

struct Method {
  std::string name;
  OptimizerFactory make;
  std::function<Groups(const std::vector<at::Tensor>&)> groups;
  std::int64_t numbers_a_weight = 0;  ///< of its state
  bool norms = false;
};

template <class Optimizer, class Options>
OptimizerFactory maker(const Options& options) {
  return [options](Groups groups) { return std::make_unique<Optimizer>(std::move(groups), options); };
}

inline Groups one_group(const std::vector<at::Tensor>& parameters) {
  Groups groups;
  groups.emplace_back(parameters);
  return groups;
}

inline std::vector<Method> methods() {
  using namespace torch::optim;
  const auto lars = [](LarsForm form) { return LarsOptions(2).form(form).eta(0.02).weight_decay(0.01); };
  const auto lars_groups = [lars](LarsForm form) {
    return [options = lars(form)](const std::vector<at::Tensor>& all) { return Lars::groups(all, options); };
  };
  const LambOptions lamb = LambOptions(0.02);
  return {
      {"SGD", maker<SGD>(SGDOptions(0.1)), one_group, 0},
      {"momentum", maker<SGD>(SGDOptions(0.1).momentum(0.9).weight_decay(0.01).nesterov(true)), one_group, 1},
      {"Adam", maker<Adam>(AdamOptions(0.01).weight_decay(0.01)), one_group, 2},
      {"AMSGrad", maker<Adam>(AdamOptions(0.01).amsgrad(true)), one_group, 3},
      {"AdamW", maker<AdamW>(AdamWOptions(0.01)), one_group, 2},
      {"RMSprop", maker<RMSprop>(RMSpropOptions(0.01).momentum(0.9).centered(true)), one_group, 3},
      {"Adagrad", maker<Adagrad>(AdagradOptions(0.1)), one_group, 1},
      {"scaled LARS", maker<Lars>(lars(LarsForm::Scaled)), lars_groups(LarsForm::Scaled), 1, true},
      {"unscaled LARS", maker<Lars>(lars(LarsForm::Unscaled)), lars_groups(LarsForm::Unscaled), 1, true},
      {"LAMB", maker<Lamb>(lamb), [lamb](const std::vector<at::Tensor>& all) { return Lamb::groups(all, lamb); }, 2,
       true},
  };
}

constexpr std::uint64_t kSteps = 20;
constexpr std::int64_t kWeights = 447;

inline std::uint64_t batch(std::uint64_t step, int rank) { return 1000 * step + static_cast<std::uint64_t>(rank); }

struct Outcome {
  std::vector<at::Tensor> weights;
  std::int64_t state_bytes = 0;
  std::int64_t bytes_a_step = 0;  ///< sent
};

/// One optimizer over whole tensors with the mean of the gradients of all ranks' batches, without communicators.
inline Outcome replicated(const Method& method, int ranks) {
  const SmallNet net;
  const auto optimizer = method.make(method.groups(net.parameters));
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    std::vector<at::Tensor> sums;
    for (int rank = 0; rank < ranks; ++rank) {
      net.zero_grad();
      net.loss(batch(step, rank)).backward();
      for (std::size_t i = 0; i < net.parameters.size(); ++i)
        rank == 0 ? sums.push_back(net.parameters[i].grad().clone()) : void(sums[i].add_(net.parameters[i].grad()));
    }
    for (std::size_t i = 0; i < sums.size(); ++i) net.parameters[i].mutable_grad() = sums[i].div_(ranks);
    optimizer->step();
  }
  return {copies(net.parameters), optimizer_state_bytes(*optimizer)};
}

/// On one rank.
inline Outcome sharded(const Method& method, Communicator& communicator) {
  const SmallNet net(communicator.rank() == 0 ? 1 : 99);  // those of rank 0 count
  ShardedUpdate update(communicator, method.groups(net.parameters), method.make);
  const std::int64_t before = communicator.traffic().bytes;
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    update.zero_grad();
    net.loss(batch(step, communicator.rank())).backward();
    update.step();
  }
  const std::int64_t sent = communicator.traffic().bytes - before;
  return {copies(net.parameters), update.state_bytes(), sent / static_cast<std::int64_t>(kSteps)};
}

/// Largest difference relative to the largest weight of a tensor.
inline double difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, ((a[i] - b[i]).abs().max() / b[i].abs().max()).item<double>());
  return most;
}

/// How far shards may be from the whole.
inline double tolerance(const Method& method, int ranks) { return method.norms && ranks > 1 ? 1e-6 : 0; }

}  // namespace updates
