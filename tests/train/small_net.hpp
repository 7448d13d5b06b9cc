#pragma once

#include <ATen/ATen.h>

#include <vector>

/// A convolutional network of 447 parameters in 8 tensors: equal shards cut them.
struct SmallNet {
  std::vector<at::Tensor> parameters;

  explicit SmallNet(std::uint64_t seed = 1) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    for (const auto& shape :
         std::vector<std::vector<std::int64_t>>{{5, 3, 3, 3}, {5}, {5}, {5}, {6, 5, 3, 3}, {6}, {3, 6}, {3}}) {
      at::Tensor values = at::randn(shape, generator, at::kFloat).mul_(shape.size() > 1 ? 0.3 : 0.1);
      if (parameters.size() == 2) values.add_(1);  // a batch norm's scale
      parameters.push_back(values.requires_grad_(true));
    }
  }

  /// Mean over samples; the batch is a function of `seed`.
  [[nodiscard]] at::Tensor loss(std::uint64_t seed) const {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    const at::Tensor x = at::randn({4, 3, 8, 8}, generator, at::kFloat);
    const at::Tensor labels = at::randint(0, 3, {4}, generator, at::kLong);
    const auto& p = parameters;
    at::Tensor h = at::conv2d(x, p[0], p[1], 1, 1);
    h = at::relu(at::batch_norm(h, p[2], p[3], {}, {}, true, 0.1, 1e-5, false));
    h = at::relu(at::conv2d(h, p[4], p[5], 2, 1)).mean({2, 3});
    return at::cross_entropy_loss(at::linear(h, p[6], p[7]), labels);
  }

  void zero_grad() const {
    for (const auto& parameter : parameters) parameter.mutable_grad().reset();
  }
};

inline std::vector<at::Tensor> copies(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> list;
  for (const auto& tensor : tensors) list.push_back(tensor.detach().clone());
  return list;
}
