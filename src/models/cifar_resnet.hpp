#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "halftone/models/trainable.hpp"

namespace halftone::internal {

TrainableModule plain_batch_norm(std::int64_t channels);

/// Two 3x3 convolutions and a shortcut; where the shape changes, the shortcut takes every second pixel and pads
/// channels with zeros on both sides (option A).
class BasicBlock : public torch::nn::Module {
 public:
  BasicBlock(std::int64_t in_channels, std::int64_t out_channels, std::int64_t stride,
             const BatchNormFactory& batch_norm);
  at::Tensor forward(const at::Tensor& x);

 private:
  std::int64_t stride_;
  std::int64_t added_channels_;
  torch::nn::Conv2d conv1_;
  TrainableModule bn1_;
  torch::nn::Conv2d conv2_;
  TrainableModule bn2_;
};

/// The CIFAR ResNet of depth 6 * `blocks` + 2: 16, 32 and 64 channels, `blocks` blocks each. [n, in_channels, 32, 32],
/// or images of another size, to [n, 10].
class CifarResNet : public torch::nn::Module {
 public:
  explicit CifarResNet(std::int64_t blocks, std::int64_t in_channels = 3,
                       const BatchNormFactory& batch_norm = plain_batch_norm);
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Sequential make_layer(std::int64_t in_channels, std::int64_t out_channels, std::int64_t blocks,
                                   std::int64_t stride, const BatchNormFactory& batch_norm);

  torch::nn::Conv2d conv1_;
  TrainableModule bn1_;
  torch::nn::Sequential layer1_;
  torch::nn::Sequential layer2_;
  torch::nn::Sequential layer3_;
  torch::nn::Linear linear_;
};

}  // namespace halftone::internal
