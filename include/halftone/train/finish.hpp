#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/adjust/finisher.hpp"
#include "halftone/train/sharded_update.hpp"

namespace halftone {

struct FinishOptions {
  int steps = 100;
  std::int64_t step_samples = 128;  ///< that one step's gradient is of, over all ranks
  /// Of the optimizer, falling along half a cosine: for weights and biases in units of the tensor's root mean square
  /// (rounded to a power of two), for bounds in their logarithm. With Adam at most about this much a step.
  double weight_rate = 0.001;
  double bound_rate = 0.001;
  bool all_sites = false;  ///< those at 16 bits too
  bool ranges = true;      ///< whether ranges move
  /// Of the loss that is cross entropy of the first output with class labels, in [0, 1]; the rest is damage. At 0 no
  /// labels are needed.
  double label_share = 0;
  int steps_per_check = 10;  ///< the loss is measured on the samples held out every so many steps, and at the end
  double held_out = 0.2;     ///< share of the samples that no step sees
  std::int64_t most_held_out = 1024;
  /// Samples run together; a step takes whole batches, and ranks beyond step_samples / batch_size have none.
  std::int64_t batch_size = 32;
  int threads = 1;         ///< figures do not depend on it
  std::uint64_t seed = 0;  ///< of the split and of the order of samples
  /// Makes the optimizer of two groups, weights and then bounds, without options of their own; rates are set at every
  /// step. Adam where it is empty.
  OptimizerFactory optimizer{};
};

std::vector<std::string> validate(const FinishOptions& options);

/// Fine-tunes the network to a plan: weights and biases of the sites below 16 bits, and the ranges, by gradient descent
/// through simulated quantization. The loss is the task's mean damage, the divergence from the outputs of the network
/// as it was: no labels are needed. Gradients go straight through rounding, as in `adjust_ranges`, whose guard decides
/// too: of the start and the steps that were checked, the one with the least loss on samples held out, measured as
/// `evaluate` simulates plans, is returned, so on these it is never worse than the start.
///
/// Ranges at widths that the plan does not use stay those of the network as it was. With a team every rank computes its
/// share of a step's batches, and updates its share of the weights (`ShardedUpdate`): any number of ranks gives what
/// one gives, but for the order in which float gradients are summed.
///
/// Deterministic for one seed, batch size and number of ranks, on any number of threads. A stop request returns the
/// best so far. Cost in passes over the training data: with S = steps x step_samples / size, S forward and backward (2
/// S to 3 S forward in time), one forward for the outputs of the network as it was (of no more samples than steps
/// take), and the samples held out once a check. Memory: those outputs, and the trained tensors seven times.
///
/// Throws as `require_ranges`; `InvalidArgument` for fewer than two samples, and for labels that are none of classes
/// where they are asked for; `Unsupported` where the task's damage, or the network, has no gradient.
///
/// Sources: Esser et al., *Learned Step Size Quantization*, 2020; Hinton et al., *Distilling the Knowledge in a Neural
/// Network*, 2015, at temperature 1. Departures: docs/methods.md, section 9.8.
FinishedNetwork finish(const FinishContext& context, const FinishOptions& options = {});

/// The same as a part for `quantize_and_finish`.
std::unique_ptr<Finisher> make_finisher(FinishOptions options = {});

}  // namespace halftone
