#include <string_view>

#include "halftone/core/error.hpp"
#include "halftone/scaling/workload.hpp"
#include "scaling/checks.hpp"

namespace halftone {
namespace {

// Float32 weight w, gradient g, moments m and v; reads, then writes.
constexpr double kMomentumBytes = 4 * (3 + 2);         // w g m; w m
constexpr double kLarsBytes = kMomentumBytes + 4 * 2;  // and w g once more, for the norms
constexpr double kAdamBytes = 4 * (4 + 3);             // w g m v; w m v

/// A chain of convolutions with a batch norm behind each, or a bias.
class Chain {
 public:
  Chain(std::int64_t channels, std::int64_t size) : channels_(channels), size_(size) {}

  /// Zeros around keep the size, but for the stride.
  Chain& add(std::int64_t out_channels, std::int64_t kernel, std::int64_t stride = 1) {
    return add_to(out_channels, kernel, stride, (size_ - 1) / stride + 1);
  }
  /// Without zeros around.
  Chain& add_bare(std::int64_t out_channels, std::int64_t kernel) {
    return add_to(out_channels, kernel, 1, size_ - kernel + 1);
  }
  void pool(std::int64_t stride) { size_ = (size_ - 1) / stride + 1; }

  [[nodiscard]] std::int64_t channels() const { return channels_; }
  [[nodiscard]] std::int64_t size() const { return size_; }
  [[nodiscard]] const std::vector<ConvolutionShape>& layers() const { return layers_; }

 private:
  Chain& add_to(std::int64_t out_channels, std::int64_t kernel, std::int64_t stride, std::int64_t output_size) {
    layers_.push_back({channels_, out_channels, kernel, stride, size_, output_size});
    channels_ = out_channels;
    size_ = output_size;
    return *this;
  }

  std::int64_t channels_;
  std::int64_t size_;
  std::vector<ConvolutionShape> layers_;
};

/// `extra` is what every output channel has beside its weights: 2 of a batch norm, 1 of a bias.
void take(Workload& workload, const Chain& chain, std::int64_t extra) {
  for (const ConvolutionShape& layer : chain.layers()) {
    workload.parameters +=
        static_cast<double>(layer.out_channels * (layer.in_channels * layer.kernel * layer.kernel + extra));
    workload.forward_macs += layer.macs();
    workload.convolutions.push_back(layer);
  }
}

/// The stem of a ResNet: 7x7 and pooling, both of stride 2.
void take_stem(Workload& workload, std::int64_t image) { take(workload, Chain(3, image).add(64, 7, 2), 2); }

/// A residual layer; gives channels and size behind it.
Chain take_blocks(Workload& workload, Chain at, std::int64_t width, std::int64_t blocks, std::int64_t stride,
                  bool bottleneck) {
  const std::int64_t out = bottleneck ? 4 * width : width;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t step = i == 0 ? stride : 1;
    Chain block(at.channels(), at.size());
    bottleneck ? block.add(width, 1).add(width, 3, step).add(out, 1) : block.add(out, 3, step).add(out, 3);
    take(workload, block, 2);
    if (at.channels() != out || step != 1) take(workload, Chain(at.channels(), at.size()).add(out, 1, step), 2);
    at = Chain(out, block.size());
  }
  return at;
}

}  // namespace

std::vector<std::string> validate(const Workload& workload) {
  std::vector<std::string> violations;
  const auto check = [&](std::string_view what, double value) {
    if (!internal::is_positive(value))
      violations.push_back(
          message("workload \"", workload.name, "\": ", what, " is ", value, ": give a positive number"));
  };
  check("parameters", workload.parameters);
  check("forward_macs", workload.forward_macs);
  check("training_samples", workload.training_samples);
  check("evaluation_samples", workload.evaluation_samples);
  check("update_bytes", workload.update_bytes);
  double macs = 0;
  for (const ConvolutionShape& layer : workload.convolutions) macs += layer.macs();
  if (macs > workload.forward_macs * (1 + 1e-9))
    violations.push_back(message("workload \"", workload.name, "\": its convolutions take ", macs,
                                 " multiply-accumulates, more than forward_macs ", workload.forward_macs));
  return violations;
}

Workload resnet50_workload() {
  Workload workload;
  workload.name = "resnet50";
  workload.source =
      "layers: He et al., Deep Residual Learning for Image Recognition, 2015, table 1, with the stride in the 3x3 "
      "convolution (version 1.5); samples: ImageNet 2012, as logged by Google's MLPerf 0.6 runs";
  workload.training_samples = 1281167;
  workload.evaluation_samples = 50000;
  workload.update_bytes = kLarsBytes;
  take_stem(workload, 224);
  Chain at(64, 56);
  at = take_blocks(workload, at, 64, 3, 1, true);
  at = take_blocks(workload, at, 128, 4, 2, true);
  at = take_blocks(workload, at, 256, 6, 2, true);
  at = take_blocks(workload, at, 512, 3, 2, true);
  workload.parameters += 2048 * 1000 + 1000;
  workload.forward_macs += 2048 * 1000;
  return workload;
}

Workload ssd300_workload() {
  Workload workload;
  workload.name = "ssd300";
  workload.source =
      "layers: MLPerf training 0.6 reference, single_stage_detector (ResNet-34 to its third layer, there of stride 1; "
      "8,732 boxes, 81 classes); samples: COCO 2017, 117,266 images with boxes, 5,000 to evaluate";
  workload.training_samples = 117266;
  workload.evaluation_samples = 5000;
  workload.update_bytes = kMomentumBytes;
  take_stem(workload, 300);
  Chain at(64, 75);
  at = take_blocks(workload, at, 64, 3, 1, false);
  at = take_blocks(workload, at, 128, 4, 2, false);
  at = take_blocks(workload, at, 256, 6, 1, false);

  std::vector<Chain> maps{at};  // 38, 19, 10, 5, 3 and 1 rows
  const auto next = [&](std::int64_t inner, std::int64_t out, bool halves) {
    Chain chain(maps.back().channels(), maps.back().size());
    chain.add(inner, 1);
    halves ? chain.add(out, 3, 2) : chain.add_bare(out, 3);
    take(workload, chain, 1);
    maps.emplace_back(chain.channels(), chain.size());
  };
  next(256, 512, true);
  next(256, 512, true);
  next(128, 256, true);
  next(128, 256, false);
  next(128, 256, false);

  constexpr std::int64_t kBoxes[] = {4, 6, 6, 6, 4, 4};
  constexpr std::int64_t kOutputs = 4 + 81;  // place and classes of a box
  for (std::size_t i = 0; i < maps.size(); ++i)
    take(workload, Chain(maps[i].channels(), maps[i].size()).add(kBoxes[i] * kOutputs, 3), 1);
  return workload;
}

Workload transformer_big_workload() {
  constexpr double kWidth = 1024;
  constexpr double kInner = 4096;
  constexpr double kLayers = 6;
  constexpr double kVocabulary = 33708;
  constexpr double kTokens = 256;
  constexpr double kAttention = 4 * kWidth * kWidth;
  constexpr double kFeedForward = 2 * kWidth * kInner;
  constexpr double kStack = kLayers * (kAttention + kFeedForward) + kLayers * (2 * kAttention + kFeedForward);

  Workload workload;
  workload.name = "transformer";
  workload.source =
      "layers: Vaswani et al., Attention Is All You Need, 2017, table 3, big; embedding of 33,708 words shared, MLPerf "
      "training 0.6 reference; samples: 271 steps of 2,048 rows an epoch in Google's logs and flags, rows of 256 "
      "tokens, which is what 4.6 million pairs of WMT17 fill; newstest2014 has 3,003 pairs";
  workload.parameters = kStack + kVocabulary * kWidth;  // biases and layer norms are left out: below 0.1 %
  // Products with weights, scores and sums of three attentions a layer, and the words' logits.
  workload.forward_macs =
      kTokens * kStack + kLayers * 3 * 2 * kTokens * kTokens * kWidth + kTokens * kVocabulary * kWidth;
  workload.training_samples = 271 * 2048;
  workload.evaluation_samples = 3003;
  workload.update_bytes = kAdamBytes;
  return workload;
}

Workload gnmt_workload() {
  constexpr double kWidth = 1024;
  constexpr double kVocabulary = 32320;
  constexpr double kTokens = 30;  // assumed: at most 48 are taken (Google's flags), in 5 buckets of like lengths
  const auto lstm = [](double inputs) { return 4 * kWidth * (inputs + kWidth); };
  const double encoder = 2 * lstm(kWidth) + lstm(2 * kWidth) + 2 * lstm(kWidth);
  const double decoder = lstm(kWidth) + 3 * lstm(2 * kWidth);
  constexpr double kAttention = 2 * kWidth * kWidth;  // of query and keys
  constexpr double kClassifier = kWidth * kVocabulary;

  Workload workload;
  workload.name = "gnmt";
  workload.source =
      "layers: MLPerf training 0.6 reference, rnn_translator (4 + 4 layers of 1,024, the first of the encoder in both "
      "directions, 32,320 words, embedding shared); samples: 3,442,299 an epoch, flags of Google's runs; newstest2014 "
      "has 3,003 pairs";
  workload.parameters = encoder + decoder + kAttention + kClassifier + kVocabulary * kWidth;
  workload.forward_macs = kTokens * (encoder + decoder + kAttention + kClassifier) + 2 * kTokens * kTokens * kWidth;
  workload.training_samples = 3442299;
  workload.evaluation_samples = 3003;
  workload.update_bytes = kAdamBytes;
  return workload;
}

}  // namespace halftone
