#include <ATen/ATen.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <array>
#include <memory>
#include <vector>

#include "models/families.hpp"
#include "models/load_network.hpp"

namespace halftone::internal {

namespace {

torch::nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
  const auto options = torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false);
  return torch::nn::Conv2d(options);
}

/// 1x1, 3x3 and 1x1 convolutions, the last one four times as wide, and a shortcut: a 1x1 convolution where the shape
/// changes.
class Bottleneck : public torch::nn::Module {
 public:
  Bottleneck(std::int64_t in, std::int64_t width, std::int64_t stride)
      : conv1_(register_module("conv1", conv(in, width, 1, 1))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(width))),
        conv2_(register_module("conv2", conv(width, width, 3, stride))),
        bn2_(register_module("bn2", torch::nn::BatchNorm2d(width))),
        conv3_(register_module("conv3", conv(width, 4 * width, 1, 1))),
        bn3_(register_module("bn3", torch::nn::BatchNorm2d(4 * width))) {
    if (stride == 1 && in == 4 * width) return;
    auto downsample = register_module("downsample", std::make_shared<torch::nn::Module>());
    shortcut_ = downsample->register_module("0", conv(in, 4 * width, 1, stride));
    shortcut_bn_ = downsample->register_module("1", torch::nn::BatchNorm2d(4 * width));
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor y = bn3_(conv3_(at::relu(bn2_(conv2_(at::relu(bn1_(conv1_(x))))))));
    return at::relu(y + (shortcut_ ? shortcut_bn_(shortcut_(x)) : x));
  }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  torch::nn::Conv2d conv2_;
  torch::nn::BatchNorm2d bn2_;
  torch::nn::Conv2d conv3_;
  torch::nn::BatchNorm2d bn3_;
  torch::nn::Conv2d shortcut_{nullptr};
  torch::nn::BatchNorm2d shortcut_bn_{nullptr};
};

/// [n, 3, 224, 224] to [n, 1000].
class ResNet50 : public torch::nn::Module {
 public:
  ResNet50() {
    constexpr std::array<std::int64_t, 4> kBlocks{3, 4, 6, 3};
    std::int64_t channels = 64;
    std::int64_t width = 64;
    for (std::size_t layer = 0; layer < kBlocks.size(); ++layer) {
      auto blocks = register_module(message("layer", layer + 1), std::make_shared<torch::nn::Module>());
      for (std::int64_t i = 0; i < kBlocks[layer]; ++i) {
        const std::int64_t stride = layer > 0 && i == 0 ? 2 : 1;
        const auto block = std::make_shared<Bottleneck>(channels, width, stride);
        blocks_.push_back(blocks->register_module(std::to_string(i), block));
        channels = 4 * width;
      }
      width *= 2;
    }
  }

  at::Tensor forward(at::Tensor x) {
    x = at::max_pool2d(at::relu(bn1_(conv1_(x))), 3, 2, 1);
    for (const auto& block : blocks_) x = block->forward(x);
    return fc_(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }

 private:
  torch::nn::Conv2d conv1_ = register_module("conv1", conv(3, 64, 7, 2));
  torch::nn::BatchNorm2d bn1_ = register_module("bn1", torch::nn::BatchNorm2d(64));
  std::vector<std::shared_ptr<Bottleneck>> blocks_;
  torch::nn::Linear fc_ = register_module("fc", torch::nn::Linear(2048, 1000));
};

}  // namespace

ArchitectureFamily resnet50() {
  Architecture result;
  result.name = "resnet50";
  result.summary = "ResNet-50: bottleneck blocks, stride in the 3x3 convolution";
  result.input_shape = {3, 224, 224};
  result.classes = 1000;
  result.normalization = {.mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};
  result.weights = "torchvision's state dict; resnet50:random has the shapes alone";
  result.load = [name = result.name](const WeightsFile& weights, std::uint64_t seed) {
    return load_network<ResNet50>(name, weights, seed, at::zeros({1, 3, 224, 224}));
  };
  return family_of(std::move(result));
}

}  // namespace halftone::internal
