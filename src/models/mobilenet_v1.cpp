#include <ATen/ATen.h>
#include <torch/nn/modules/batchnorm.h>

#include <array>
#include <vector>

#include "models/families.hpp"
#include "models/load_network.hpp"
#include "models/same_conv.hpp"

namespace halftone::internal {

namespace {

/// [n, 3, 224, 224] to [n, 1000].
class MobileNetV1 : public torch::nn::Module {
 public:
  MobileNetV1() {
    // Width 0.75: three quarters of the paper's channels.
    struct Block {
      std::int64_t channels;
      std::int64_t stride;
    };
    constexpr std::array<Block, 13> kBlocks{{{48, 1},
                                             {96, 2},
                                             {96, 1},
                                             {192, 2},
                                             {192, 1},
                                             {384, 2},
                                             {384, 1},
                                             {384, 1},
                                             {384, 1},
                                             {384, 1},
                                             {384, 1},
                                             {768, 2},
                                             {768, 1}}};
    std::int64_t channels = 24;
    add("conv1", torch::nn::Conv2dOptions(3, channels, 3).stride(2));
    for (std::size_t i = 0; i < kBlocks.size(); ++i) {
      const auto [out, stride] = kBlocks[i];
      add(message("conv_dw_", i + 1), torch::nn::Conv2dOptions(channels, channels, 3).stride(stride).groups(channels));
      add(message("conv_pw_", i + 1), torch::nn::Conv2dOptions(channels, out, 1));
      channels = out;
    }
    head_ = register_module("conv_preds", torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, 1000, 1)));
  }

  at::Tensor forward(at::Tensor x) {
    for (auto& [conv, norm] : layers_) x = at::relu6(norm(conv(x)));
    return head_(at::adaptive_avg_pool2d(x, {1, 1})).flatten(1);
  }

 private:
  struct Layer {
    SameConv2d conv;
    torch::nn::BatchNorm2d norm;
  };

  void add(const std::string& name, torch::nn::Conv2dOptions options) {
    const auto channels = torch::nn::BatchNormOptions(options.out_channels()).eps(1e-3);
    layers_.push_back({register_module(name, SameConv2d(options.bias(false))),
                       register_module(name + "_bn", torch::nn::BatchNorm2d(channels))});
  }

  std::vector<Layer> layers_;
  torch::nn::Conv2d head_{nullptr};
};

}  // namespace

ArchitectureFamily mobilenet_v1() {
  Architecture result;
  result.name = "mobilenet_v1_0.75";
  result.summary = "MobileNet v1 of width 0.75: depthwise-separable convolutions, ReLU6, TensorFlow's padding";
  result.input_shape = {3, 224, 224};
  result.classes = 1000;
  result.normalization = {.mean = {0.5, 0.5, 0.5}, .std = {0.5, 0.5, 0.5}};
  result.weights =
      "the Keras layers model mobilenet_v1_0.75_224 of TensorFlow.js as safetensors; tensors conv1.weight, "
      "conv1_bn.weight, conv_dw_1.weight …";
  result.known_accuracy =
      "68.4 % top-1 on the ImageNet validation set, as published; 499 of an easier 650 images of it";
  result.load = [name = result.name](const WeightsFile& weights, std::uint64_t seed) {
    return load_network<MobileNetV1>(name, weights, seed, at::zeros({1, 3, 224, 224}));
  };
  return family_of(std::move(result));
}

}  // namespace halftone::internal
