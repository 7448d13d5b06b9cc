#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "halftone/train/batch_norm.hpp"

namespace halftone {

/// `distributed_batch_norm` as a module; in evaluation it is LibTorch's own with running statistics, on this rank
/// alone. Parameters and buffers have the names of `torch::nn::BatchNorm2d`'s, so either reads the other's weights.
/// Takes [samples, channels, ...] of any number of dimensions. Neither clones nor counts batches with another momentum.
class DistributedBatchNormImpl : public torch::nn::Module {
 public:
  /// `communicator` is borrowed. Throws `InvalidArgument` for fewer than 1 channel.
  DistributedBatchNormImpl(Communicator& communicator, std::int64_t channels, const BatchNormOptions& options = {});

  at::Tensor forward(const at::Tensor& input);

  BatchNormTensors tensors;
  at::Tensor num_batches_tracked;

 private:
  Communicator& communicator_;
  BatchNormOptions options_;
};

TORCH_MODULE(DistributedBatchNorm);

}  // namespace halftone
