#include <ATen/ATen.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/families.hpp"
#include "models/load_network.hpp"

namespace halftone::internal {

namespace {

torch::nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
  const auto options = torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false);
  return torch::nn::Conv2d(options);
}

/// What blocks are added to: their input, or a 1x1 convolution of it where the shape changes.
class Shortcut {
 public:
  Shortcut(torch::nn::Module& block, std::int64_t in, std::int64_t out, std::int64_t stride) {
    if (stride == 1 && in == out) return;
    auto downsample = block.register_module("downsample", std::make_shared<torch::nn::Module>());
    conv_ = downsample->register_module("0", conv(in, out, 1, stride));
    bn_ = downsample->register_module("1", torch::nn::BatchNorm2d(out));
  }

  at::Tensor operator()(const at::Tensor& x) { return conv_ ? bn_(conv_(x)) : x; }

 private:
  torch::nn::Conv2d conv_{nullptr};
  torch::nn::BatchNorm2d bn_{nullptr};
};

/// Two 3x3 convolutions.
class BasicBlock : public torch::nn::Module {
 public:
  static constexpr std::int64_t kExpansion = 1;

  BasicBlock(std::int64_t in, std::int64_t width, std::int64_t stride)
      : conv1_(register_module("conv1", conv(in, width, 3, stride))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(width))),
        conv2_(register_module("conv2", conv(width, width, 3, 1))),
        bn2_(register_module("bn2", torch::nn::BatchNorm2d(width))),
        shortcut_(*this, in, width, stride) {}

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor y = bn2_(conv2_(at::relu(bn1_(conv1_(x)))));
    return at::relu(y + shortcut_(x));
  }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  torch::nn::Conv2d conv2_;
  torch::nn::BatchNorm2d bn2_;
  Shortcut shortcut_;
};

/// 1x1, 3x3 and 1x1 convolutions, the last one four times as wide.
class Bottleneck : public torch::nn::Module {
 public:
  static constexpr std::int64_t kExpansion = 4;

  Bottleneck(std::int64_t in, std::int64_t width, std::int64_t stride)
      : conv1_(register_module("conv1", conv(in, width, 1, 1))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(width))),
        conv2_(register_module("conv2", conv(width, width, 3, stride))),
        bn2_(register_module("bn2", torch::nn::BatchNorm2d(width))),
        conv3_(register_module("conv3", conv(width, kExpansion * width, 1, 1))),
        bn3_(register_module("bn3", torch::nn::BatchNorm2d(kExpansion * width))),
        shortcut_(*this, in, kExpansion * width, stride) {}

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor y = bn3_(conv3_(at::relu(bn2_(conv2_(at::relu(bn1_(conv1_(x))))))));
    return at::relu(y + shortcut_(x));
  }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  torch::nn::Conv2d conv2_;
  torch::nn::BatchNorm2d bn2_;
  torch::nn::Conv2d conv3_;
  torch::nn::BatchNorm2d bn3_;
  Shortcut shortcut_;
};

/// [n, 3, 224, 224] to [n, 1000]; four layers of `Count` blocks.
template <class Block, std::int64_t... Count>
class ResNet : public torch::nn::Module {
 public:
  ResNet() {
    std::int64_t channels = 64;
    std::int64_t width = 64;
    int layer = 0;
    for (const std::int64_t count : {Count...}) {
      auto blocks = register_module(message("layer", ++layer), std::make_shared<torch::nn::Module>());
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t stride = layer > 1 && i == 0 ? 2 : 1;
        const auto block = std::make_shared<Block>(channels, width, stride);
        blocks_.push_back(blocks->register_module(std::to_string(i), block));
        channels = Block::kExpansion * width;
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
  std::vector<std::shared_ptr<Block>> blocks_;
  torch::nn::Linear fc_ = register_module("fc", torch::nn::Linear(512 * Block::kExpansion, 1000));
};

template <class Network>
ArchitectureFamily family(const std::string& name, const std::string& summary) {
  Architecture result;
  result.name = name;
  result.summary = summary;
  result.input_shape = {3, 224, 224};
  result.classes = 1000;
  result.normalization = {.mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};
  result.weights = message("torchvision's state dict; ", name, ":random has the shapes alone");
  result.load = [name](const WeightsFile& weights, std::uint64_t seed) {
    return load_network<Network>(name, weights, seed, at::zeros({1, 3, 224, 224}));
  };
  return family_of(std::move(result));
}

}  // namespace

ArchitectureFamily resnet18() {
  return family<ResNet<BasicBlock, 2, 2, 2, 2>>("resnet18", "ResNet-18: blocks of two 3x3 convolutions");
}

ArchitectureFamily resnet34() {
  return family<ResNet<BasicBlock, 3, 4, 6, 3>>("resnet34", "ResNet-34: blocks of two 3x3 convolutions");
}

ArchitectureFamily resnet50() {
  return family<ResNet<Bottleneck, 3, 4, 6, 3>>("resnet50",
                                                "ResNet-50: bottleneck blocks, stride in the 3x3 convolution");
}

}  // namespace halftone::internal
