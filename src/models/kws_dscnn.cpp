#include <ATen/ATen.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <vector>

#include "models/families.hpp"
#include "models/load_network.hpp"
#include "models/same_conv.hpp"

namespace halftone::internal {

namespace {

constexpr std::int64_t kChannels = 64;
constexpr std::int64_t kBlocks = 4;
constexpr std::int64_t kWords = 12;

/// [n, 1, 49, 10] (frames, coefficients) to [n, 12].
class DsCnn : public torch::nn::Module {
 public:
  DsCnn() {
    add(*this, "conv1", "bn1", torch::nn::Conv2dOptions(1, kChannels, {10, 4}).stride(2));
    for (std::int64_t i = 1; i <= kBlocks; ++i) {
      auto block = register_module(message("block", i), std::make_shared<torch::nn::Module>());
      add(*block, "dw", "dw_bn", torch::nn::Conv2dOptions(kChannels, kChannels, 3).groups(kChannels));
      add(*block, "pw", "pw_bn", torch::nn::Conv2dOptions(kChannels, kChannels, 1));
    }
  }

  at::Tensor forward(at::Tensor x) {
    for (auto& [conv, norm] : layers_) x = at::relu(norm(conv(x)));
    return head_(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }

 private:
  struct Layer {
    SameConv2d conv;
    torch::nn::BatchNorm2d norm;
  };

  void add(torch::nn::Module& parent, const std::string& conv, const std::string& norm,
           const torch::nn::Conv2dOptions& options) {
    const auto channels = torch::nn::BatchNormOptions(kChannels).eps(1e-3);
    layers_.push_back({parent.register_module(conv, SameConv2d(options)),
                       parent.register_module(norm, torch::nn::BatchNorm2d(channels))});
  }

  std::vector<Layer> layers_;
  torch::nn::Linear head_ = register_module("fc", torch::nn::Linear(kChannels, kWords));
};

}  // namespace

ArchitectureFamily kws_dscnn() {
  Architecture result;
  result.name = "kws_dscnn";
  result.summary =
      "DS-CNN for keyword spotting (MLPerf Tiny): depthwise-separable convolutions on 49 frames of 10 MFCC";
  result.input_shape = {1, 49, 10};
  result.classes = kWords;
  result.weights =
      "the float reference model of mlcommons/tiny as safetensors; tensors conv1.weight, bn1.weight, "
      "block1.dw.weight …";
  result.known_accuracy = "91.3 % top-1 on the 1,000 MLPerf Tiny samples";
  result.load = [name = result.name](const WeightsFile& weights, std::uint64_t seed) {
    return load_network<DsCnn>(name, weights, seed, at::zeros({1, 1, 49, 10}));
  };
  return family_of(std::move(result));
}

}  // namespace halftone::internal
