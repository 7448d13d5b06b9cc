#include "models/cifar_resnet.hpp"

#include <ATen/ATen.h>
#include <torch/nn/modules/batchnorm.h>

#include <charconv>
#include <memory>

#include "models/families.hpp"
#include "models/load_network.hpp"

namespace halftone {

namespace internal {

namespace {

torch::nn::Conv2d conv3x3(std::int64_t in_channels, std::int64_t out_channels, std::int64_t stride) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in_channels, out_channels, 3).stride(stride).padding(1).bias(false));
}

TrainableModule register_norm(torch::nn::Module& parent, const std::string& name, TrainableModule norm) {
  parent.register_module(name, norm.module);
  return norm;
}

}  // namespace

TrainableModule plain_batch_norm(std::int64_t channels) {
  return make_trainable(std::make_shared<torch::nn::BatchNorm2dImpl>(torch::nn::BatchNormOptions(channels)));
}

BasicBlock::BasicBlock(std::int64_t in_channels, std::int64_t out_channels, std::int64_t stride,
                       const BatchNormFactory& batch_norm)
    : stride_(stride),
      added_channels_(out_channels - in_channels),
      conv1_(register_module("conv1", conv3x3(in_channels, out_channels, stride))),
      bn1_(register_norm(*this, "bn1", batch_norm(out_channels))),
      conv2_(register_module("conv2", conv3x3(out_channels, out_channels, 1))),
      bn2_(register_norm(*this, "bn2", batch_norm(out_channels))) {}

at::Tensor BasicBlock::forward(const at::Tensor& x) {
  const at::Tensor y = bn2_.forward(conv2_(at::relu(bn1_.forward(conv1_(x)))));
  if (stride_ == 1 && added_channels_ == 0) return at::relu(y + x);
  const at::Tensor pixels = x.slice(2, 0, std::nullopt, stride_).slice(3, 0, std::nullopt, stride_);
  return at::relu(y + at::constant_pad_nd(pixels, {0, 0, 0, 0, added_channels_ / 2, added_channels_ / 2}));
}

CifarResNet::CifarResNet(std::int64_t blocks, std::int64_t in_channels, const BatchNormFactory& batch_norm)
    : conv1_(register_module("conv1", conv3x3(in_channels, 16, 1))),
      bn1_(register_norm(*this, "bn1", batch_norm(16))),
      layer1_(register_module("layer1", make_layer(16, 16, blocks, 1, batch_norm))),
      layer2_(register_module("layer2", make_layer(16, 32, blocks, 2, batch_norm))),
      layer3_(register_module("layer3", make_layer(32, 64, blocks, 2, batch_norm))),
      linear_(register_module("linear", torch::nn::Linear(64, 10))) {}

torch::nn::Sequential CifarResNet::make_layer(std::int64_t in_channels, std::int64_t out_channels, std::int64_t blocks,
                                              std::int64_t stride, const BatchNormFactory& batch_norm) {
  torch::nn::Sequential layer;
  for (std::int64_t i = 0; i < blocks; ++i)
    layer->push_back(i == 0 ? BasicBlock(in_channels, out_channels, stride, batch_norm)
                            : BasicBlock(out_channels, out_channels, 1, batch_norm));
  return layer;
}

at::Tensor CifarResNet::forward(const at::Tensor& x) {
  const at::Tensor features = layer3_->forward(layer2_->forward(layer1_->forward(at::relu(bn1_.forward(conv1_(x))))));
  return linear_(at::adaptive_avg_pool2d(features, {1, 1}).flatten(1));
}

}  // namespace internal

namespace {

constexpr std::string_view kCifar = "cifar_resnet";
constexpr std::string_view kFashion = "fashion_resnet";

/// The depth in "cifar_resnet56", which begins as `prefix`, where it is 6n+2 for an n from 1 to 200.
std::optional<std::int64_t> depth_of(const std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  std::int64_t depth = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + prefix.size(), end, depth);
  if (error != std::errc{} || rest != end) return std::nullopt;
  if (depth < 8 || depth > 1202 || depth % 6 != 2) return std::nullopt;
  return depth;
}

std::int64_t blocks_of(std::int64_t depth) { return (depth - 2) / 6; }

std::optional<Architecture> find_cifar_resnet(const std::string& name) {
  const auto depth = depth_of(name, kCifar);
  if (!depth) return std::nullopt;
  Architecture result;
  result.name = name;
  result.summary = "CIFAR ResNet with option-A shortcuts, any depth 6n+2 (20, 32, 44, 56, 110 …)";
  result.input_shape = {3, 32, 32};
  result.classes = 10;
  result.normalization = {.mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};
  result.weights = "state dicts of akamaster/pytorch_resnet_cifar10; depth 20 in assets/";
  result.known_accuracy = *depth == 20   ? "91.73 % top-1 on the 10,000 CIFAR-10 test images"
                          : *depth == 56 ? "93.39 % top-1 on the 10,000 CIFAR-10 test images"
                                         : "";
  result.load = [name, blocks = blocks_of(*depth)](const WeightsFile& weights, std::uint64_t seed) {
    return internal::load_network<internal::CifarResNet>(name, weights, seed, at::zeros({1, 3, 32, 32}), blocks);
  };
  return result;
}

std::optional<Architecture> find_fashion_resnet(const std::string& name) {
  const auto depth = depth_of(name, kFashion);
  if (!depth) return std::nullopt;
  Architecture result;
  result.name = name;
  result.summary = "the CIFAR ResNet for grey images of 28x28 (Fashion-MNIST, MNIST), any depth 6n+2";
  result.input_shape = {1, 28, 28};
  result.classes = 10;
  result.normalization = {.mean = {0.2860}, .std = {0.3530}};  // of Fashion-MNIST's training images
  result.weights = "none ship: train them (halftone/models/trainable.hpp)";
  result.load = [name, blocks = blocks_of(*depth)](const WeightsFile& weights, std::uint64_t seed) {
    return internal::load_network<internal::CifarResNet>(name, weights, seed, at::zeros({1, 1, 28, 28}), blocks,
                                                         std::int64_t{1});
  };
  return result;
}

}  // namespace

TrainableModule make_fashion_resnet(const std::string& name, std::uint64_t seed, const BatchNormFactory& batch_norm) {
  const auto depth = depth_of(name, kFashion);
  if (!depth)
    throw Error(Errc::NotFound, message("there is no network \"", name, "\" to train: fashion_resnet8, ",
                                        "fashion_resnet14 and so on are, of any depth 6n+2 from 8 to 1202"));
  const internal::SeededDraws draws(seed);
  const auto network = std::make_shared<internal::CifarResNet>(blocks_of(*depth), std::int64_t{1},
                                                               batch_norm ? batch_norm : internal::plain_batch_norm);
  internal::draw_convolutions(named_tensors(*network));
  return make_trainable(network);
}

ArchitectureFamily internal::cifar_resnets() {
  return {.names = {"cifar_resnet20", "cifar_resnet56"}, .find = find_cifar_resnet};
}

ArchitectureFamily internal::fashion_resnets() {
  return {.names = {"fashion_resnet8", "fashion_resnet20"}, .find = find_fashion_resnet};
}

}  // namespace halftone
