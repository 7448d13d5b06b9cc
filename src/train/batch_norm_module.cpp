#include "halftone/train/batch_norm_module.hpp"

#include <ATen/ATen.h>

#include "halftone/core/error.hpp"

namespace halftone {

DistributedBatchNormImpl::DistributedBatchNormImpl(Communicator& communicator, std::int64_t channels,
                                                   const BatchNormOptions& options)
    : torch::nn::Module("DistributedBatchNorm"), communicator_(communicator), options_(options) {
  if (channels < 1)
    throw Error(Errc::InvalidArgument, message("batch norm of ", channels, " channels: at least 1 is needed"));
  tensors.weight = register_parameter("weight", at::ones({channels}));
  tensors.bias = register_parameter("bias", at::zeros({channels}));
  tensors.running_mean = register_buffer("running_mean", at::zeros({channels}));
  tensors.running_var = register_buffer("running_var", at::ones({channels}));
  num_batches_tracked = register_buffer("num_batches_tracked", at::zeros({}, at::kLong));
}

at::Tensor DistributedBatchNormImpl::forward(const at::Tensor& input) {
  if (!is_training())
    return at::batch_norm(input, tensors.weight, tensors.bias, tensors.running_mean, tensors.running_var,
                          /*training=*/false, options_.momentum, options_.epsilon, /*cudnn_enabled=*/true);
  num_batches_tracked.add_(1);
  return distributed_batch_norm(input, tensors, options_, communicator_);
}

}  // namespace halftone
