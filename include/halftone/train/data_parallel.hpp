#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "halftone/core/monitor.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/distributed/communicator.hpp"
#include "halftone/models/trainable.hpp"
#include "halftone/train/mllog.hpp"
#include "halftone/train/sharded_update.hpp"

namespace halftone {

/// How ranks keep their weights equal.
enum class UpdateMode {
  Sharded,     ///< `ShardedUpdate`: each rank updates its share of the weights
  Replicated,  ///< `GradientBuckets`, under way beside backward; then every rank updates all weights
};

struct TrainOptions {
  std::int64_t batch = 128;  ///< samples of a step, of all ranks together
  /// Samples of a step, of all ranks, that go through the network together: what batch norms see, and memory and caches
  /// hold. Gradients of the parts of a step add up. 0: all of them.
  std::int64_t together = 0;
  std::int64_t epochs = 10;                       ///< at most
  double target = 0;                              ///< share of validation samples right at which training ends; 0: none
  std::function<double(std::int64_t step)> rate;  ///< from step 1 on; empty: the optimizer's own
  double label_smoothing = 0;
  UpdateMode update = UpdateMode::Sharded;
  std::int64_t evaluation_batch = 256;  ///< samples that one rank scores together
  std::uint64_t seed = 0;               ///< of the order of samples
  MlLog* log = nullptr;                 ///< of rank 0: run, epochs, evaluations; may be null
};

std::vector<std::string> validate(const TrainOptions& options);

struct TrainEpoch {
  double loss = 0;      ///< mean of its steps, of all ranks
  double accuracy = 0;  ///< share of the validation samples right, afterwards
  double seconds = 0;   ///< of both
};

struct TrainResult {
  std::vector<TrainEpoch> epochs;
  bool reached = false;  ///< the target
  bool stopped = false;
  std::int64_t steps = 0;
  double update_seconds = 0;         ///< of this rank: gradients, weights and their collectives
  std::int64_t optimizer_bytes = 0;  ///< that this rank keeps beside the weights
};

/// Steps of one epoch. The last one may have fewer samples; fewer than there are ranks are left out.
std::int64_t steps_of_epoch(std::int64_t samples, std::int64_t batch, int ranks);

/// Trains a classifier of `training`'s targets by cross entropy on the ranks of `communicator`, each with its share of
/// every batch, and scores it on `validation` after each epoch. All ranks call alike and end with equal weights: the
/// samples of a step, and the mean gradient over them, are the same for any number of ranks, up to the order of
/// summation, also where shares differ in size; batch norms see what they were made for (this rank's share, or that of
/// a group: `DistributedBatchNorm`). Running statistics that differ between ranks are averaged before each evaluation.
/// Training starts with rank 0's weights and buffers; a stop is heeded at the end of an epoch.
/// `module` is in evaluation mode at the end. Throws `InvalidArgument` for options and data that do not fit.
TrainResult train_data_parallel(const TrainableModule& module, const Dataset& training, const Dataset& validation,
                                const std::vector<torch::optim::OptimizerParamGroup>& groups,
                                const OptimizerFactory& make, const TrainOptions& options, Communicator& communicator,
                                const Monitor& monitor = {});

/// Samples right and in all, over all ranks, each of which runs its share; `module` must be in evaluation mode.
struct Count {
  std::int64_t right = 0;
  std::int64_t samples = 0;
};
Count count_right(const TrainableModule& module, const Dataset& data, std::int64_t batch, Communicator& communicator);

}  // namespace halftone
