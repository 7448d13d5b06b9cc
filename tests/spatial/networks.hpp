#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "halftone/graph/capture.hpp"
#include "halftone/graph/passes.hpp"
#include "tiny_model.hpp"

/// Convolutional networks in float64 of which spatial partitioning has something to do.
namespace networks {

using Tensors = std::vector<at::Tensor>;

inline at::Tensor doubles(std::vector<std::int64_t> shape, std::uint32_t seed) {
  return tiny::random(std::move(shape), seed).to(at::kDouble);
}

/// Whether nothing trains the tensor.
inline bool is_buffer(const std::string& name) { return name.ends_with(".mean") || name.ends_with(".var"); }

/// Parameters by name, drawn at their first use.
class Weights {
 public:
  at::Tensor operator()(const std::string& name, std::vector<std::int64_t> shape) {
    at::Tensor& tensor = tensors_[name];
    if (!tensor.defined()) {
      double inputs = 1;
      for (std::size_t i = 1; i < shape.size(); ++i) inputs *= static_cast<double>(shape[i]);
      tensor = doubles(std::move(shape), static_cast<std::uint32_t>(tensors_.size())) * std::sqrt(3 / inputs);
    }
    return tensor;
  }
  [[nodiscard]] std::vector<halftone::NamedTensor> all() const {
    std::vector<halftone::NamedTensor> list;
    for (const auto& [name, tensor] : tensors_) list.push_back({name, tensor, is_buffer(name)});
    return list;
  }

 private:
  std::map<std::string, at::Tensor> tensors_;
};

using Forward = std::function<Tensors(const at::Tensor& x, Weights& w)>;

/// Captured on two samples of shape `sample`, and prepared.
inline halftone::Model captured(const std::vector<std::int64_t>& sample, const Forward& forward) {
  std::vector<std::int64_t> shape{2};
  shape.insert(shape.end(), sample.begin(), sample.end());
  const at::NoGradGuard no_gradient;
  const at::Tensor x = doubles(shape, 99);
  Weights weights;
  (void)forward(x, weights);
  return halftone::prepare(
      halftone::capture([&](const Tensors& inputs) { return forward(inputs[0], weights); }, weights.all(), {x}));
}

inline at::Tensor conv(const at::Tensor& x, Weights& w, const std::string& name, std::int64_t channels,
                       std::int64_t kernel, std::int64_t stride = 1) {
  return at::conv2d(x, w(name + ".weight", {channels, x.size(1), kernel, kernel}), w(name + ".bias", {channels}),
                    stride, kernel / 2);
}

/// Basic blocks as ResNet-18 has them, narrow: [n, 3, rows, width] to [n, 10].
inline Tensors resnet18(const at::Tensor& x, Weights& w) {
  at::Tensor y = at::max_pool2d(at::relu(conv(x, w, "conv1", 4, 7, 2)), 3, 2, 1);
  std::int64_t channels = 4;
  for (const std::int64_t layer : {1, 2, 3, 4})
    for (const std::int64_t block : {0, 1}) {
      if (layer > 1 && block == 0) channels *= 2;
      const std::string name = halftone::message("layer", layer, '.', block);
      const std::int64_t stride = layer > 1 && block == 0 ? 2 : 1;
      const at::Tensor shortcut = stride == 1 ? y : conv(y, w, name + ".downsample", channels, 1, stride);
      const at::Tensor first = at::relu(conv(y, w, name + ".conv1", channels, 3, stride));
      y = at::relu(conv(first, w, name + ".conv2", channels, 3) + shortcut);
    }
  const at::Tensor features = at::adaptive_avg_pool2d(y, {1, 1}).flatten(1);
  return {at::linear(features, w("fc.weight", {10, channels}), w("fc.bias", {10}))};
}

/// As a single-shot detector: boxes and classes from maps of three sizes, flattened and joined: [n, 3, rows, width] to
/// [n, anchors, 4] and [n, anchors, 5].
inline Tensors detector(const at::Tensor& x, Weights& w) {
  Tensors boxes;
  Tensors classes;
  at::Tensor y = at::relu(conv(x, w, "stem", 8, 3, 2));
  for (const std::int64_t map : {0, 1, 2}) {
    const std::string name = halftone::message("map", map);
    const auto flat = [&](const at::Tensor& head, std::int64_t numbers) {
      return head.permute({0, 2, 3, 1}).reshape({x.size(0), -1, numbers});
    };
    boxes.push_back(flat(conv(y, w, name + ".boxes", 2 * 4, 3), 4));
    classes.push_back(flat(conv(y, w, name + ".classes", 2 * 5, 3), 5));
    y = at::relu(conv(y, w, name + ".next", 8, 3, 2));
  }
  return {at::cat(boxes, 1), at::cat(classes, 1)};
}

/// Every kind of operator that is split: [n, 4, rows, width] to maps of two sizes and a mean.
inline Tensors everything(const at::Tensor& x, Weights& w) {
  const std::int64_t rows = x.size(2);
  at::Tensor y = at::batch_norm(x, w("bn.weight", {4}), w("bn.bias", {4}), w("bn.mean", {4}),
                                w("bn.var", {4}).abs() + 1, false, 0.1, 1e-5, false);
  y = y + w("position", {1, 1, rows, 1});
  const at::Tensor padded = at::constant_pad_nd(y, {0, 1, 2, 1}, 0.5);
  const at::Tensor means = at::avg_pool2d(padded, 3, 1, at::IntArrayRef{0, 1}).slice(2, 1).slice(3, 0, x.size(3));
  y = at::cat({at::sigmoid(conv(y, w, "a", 4, 3)), at::constant_pad_nd(means, {0, 0, -1, 1})}, 1);
  const at::Tensor squeezed = y.mean({2, 3}, true);
  y = y * at::sigmoid(conv(squeezed, w, "excite", 8, 1));
  const at::Tensor half = at::max_pool2d(y, 2, 2, 0, 1, true);
  const at::Tensor odd = y.slice(2, 1, std::nullopt, 3).softmax(1);
  const Tensors halves = half.chunk(2, 1);
  const at::Tensor up = at::upsample_nearest2d(halves[0], {2 * half.size(2), 2 * half.size(3)});
  const at::Tensor smooth = at::upsample_bilinear2d(halves[1], {2 * half.size(2), 2 * half.size(3)}, false);
  return {up * at::hardtanh(smooth, -0.5, 0.5), odd, odd.sum({2}), half.mean({3}, true).clamp_min(0)};
}

}  // namespace networks
