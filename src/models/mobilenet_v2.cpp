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

torch::nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                       std::int64_t groups) {
  const auto options = torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).groups(groups);
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(options).bias(false));
}

/// Convolution "0", batch norm "1" and ReLU6.
class ConvNormRelu6 : public torch::nn::Module {
 public:
  ConvNormRelu6(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride, std::int64_t groups)
      : conv_(register_module("0", conv(in, out, kernel, stride, groups))),
        norm_(register_module("1", torch::nn::BatchNorm2d(out))) {}
  at::Tensor forward(const at::Tensor& x) { return at::relu6(norm_(conv_(x))); }

 private:
  torch::nn::Conv2d conv_;
  torch::nn::BatchNorm2d norm_;
};

/// Expansion (where it expands), depthwise convolution, projection: "conv.0" to "conv.3"; a shortcut where the shape
/// stays.
class InvertedResidual : public torch::nn::Module {
 public:
  InvertedResidual(std::int64_t in, std::int64_t out, std::int64_t stride, std::int64_t expansion)
      : shortcut_(stride == 1 && in == out) {
    auto parts = register_module("conv", std::make_shared<torch::nn::Module>());
    const auto next = [&] { return std::to_string(parts->children().size()); };
    const auto add = [&](std::int64_t from, std::int64_t kernel, std::int64_t step, std::int64_t groups) {
      const auto part = std::make_shared<ConvNormRelu6>(from, in * expansion, kernel, step, groups);
      wide_.push_back(parts->register_module(next(), part));
    };
    if (expansion > 1) add(in, 1, 1, 1);
    add(in * expansion, 3, stride, in * expansion);
    project_ = parts->register_module(next(), conv(in * expansion, out, 1, 1, 1));
    norm_ = parts->register_module(next(), torch::nn::BatchNorm2d(out));
  }

  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = x;
    for (const auto& part : wide_) y = part->forward(y);
    y = norm_(project_(y));
    return shortcut_ ? x + y : y;
  }

 private:
  bool shortcut_;
  std::vector<std::shared_ptr<ConvNormRelu6>> wide_;
  torch::nn::Conv2d project_{nullptr};
  torch::nn::BatchNorm2d norm_{nullptr};
};

/// Blocks of one width; the first has the stride.
struct Stage {
  std::int64_t expansion;
  std::int64_t channels;
  std::int64_t blocks;
  std::int64_t stride;
};

constexpr std::array<Stage, 7> kStages{
    {{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}}};

/// [n, 3, 224, 224] to [n, 1000].
class MobileNetV2 : public torch::nn::Module {
 public:
  MobileNetV2() {
    auto features = register_module("features", std::make_shared<torch::nn::Module>());
    const auto next = [&] { return std::to_string(features->children().size()); };
    std::int64_t channels = 32;
    stem_ = features->register_module(next(), std::make_shared<ConvNormRelu6>(3, channels, 3, 2, 1));
    for (const auto& [expansion, out, blocks, first_stride] : kStages)
      for (std::int64_t i = 0; i < blocks; ++i) {
        const auto block = std::make_shared<InvertedResidual>(channels, out, i == 0 ? first_stride : 1, expansion);
        blocks_.push_back(features->register_module(next(), block));
        channels = out;
      }
    head_ = features->register_module(next(), std::make_shared<ConvNormRelu6>(channels, 1280, 1, 1, 1));
    auto classifier = register_module("classifier", std::make_shared<torch::nn::Module>());
    classes_ = classifier->register_module("1", torch::nn::Linear(1280, 1000));
  }

  at::Tensor forward(at::Tensor x) {
    x = stem_->forward(x);
    for (const auto& block : blocks_) x = block->forward(x);
    return classes_(at::adaptive_avg_pool2d(head_->forward(x), {1, 1}).flatten(1));
  }

 private:
  std::shared_ptr<ConvNormRelu6> stem_;
  std::vector<std::shared_ptr<InvertedResidual>> blocks_;
  std::shared_ptr<ConvNormRelu6> head_;
  torch::nn::Linear classes_{nullptr};
};

}  // namespace

ArchitectureFamily mobilenet_v2() {
  Architecture result;
  result.name = "mobilenet_v2";
  result.summary = "MobileNet v2 of width 1: inverted residuals, ReLU6";
  result.input_shape = {3, 224, 224};
  result.classes = 1000;
  result.normalization = {.mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}};
  result.weights = "torchvision's state dict; mobilenet_v2:random has the shapes alone";
  result.load = [name = result.name](const WeightsFile& weights, std::uint64_t seed) {
    return load_network<MobileNetV2>(name, weights, seed, at::zeros({1, 3, 224, 224}));
  };
  return family_of(std::move(result));
}

}  // namespace halftone::internal
