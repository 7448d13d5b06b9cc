#pragma once

#include <ATen/ATen.h>

#include <numeric>
#include <vector>

#include "halftone/train/batch_norm.hpp"

/// A batch norm with its gradients, of the samples of all ranks in one process and of each rank's own.
namespace joined_batch {

using namespace halftone;

constexpr std::int64_t kChannels = 3;
inline const BatchNormOptions kOptions{.epsilon = 1e-3, .momentum = 0.2};

struct Case {
  std::vector<std::int64_t> samples;  ///< of each rank
  std::vector<std::int64_t> rest;     ///< dimensions after channels
  at::ScalarType dtype = at::kDouble;
  double shift = 0;  ///< mean of the data
  bool affine = true;
};

inline at::Tensor random(const std::vector<std::int64_t>& shape, at::ScalarType dtype, std::uint64_t seed) {
  return at::randn(shape, at::make_generator<at::CPUGeneratorImpl>(seed), dtype);
}

/// What a batch norm takes and gives; of all ranks' samples, or of one's.
struct Result {
  at::Tensor output, input_gradient, weight_gradient, bias_gradient, running_mean, running_var;
};

struct Setting {
  explicit Setting(const Case& c) {
    std::vector<std::int64_t> shape{std::accumulate(c.samples.begin(), c.samples.end(), std::int64_t{0}), kChannels};
    shape.insert(shape.end(), c.rest.begin(), c.rest.end());
    input = random(shape, c.dtype, 1) + c.shift;
    direction = random(shape, c.dtype, 2);
    if (c.affine) {
      tensors.weight = (random({kChannels}, c.dtype, 3) + 1).requires_grad_(true);
      tensors.bias = random({kChannels}, c.dtype, 4).requires_grad_(true);
    }
    tensors.running_mean = random({kChannels}, c.dtype, 5);
    tensors.running_var = random({kChannels}, c.dtype, 6).square();
  }

  at::Tensor input;
  at::Tensor direction;  ///< the loss is its product with the output
  BatchNormTensors tensors;
};

template <class Norm>
Result run(Setting& setting, const at::Tensor& input, const at::Tensor& direction, const Norm& norm) {
  const at::Tensor x = input.detach().clone().requires_grad_(true);
  const at::Tensor y = norm(x);
  (y * direction).sum().backward();
  const auto& t = setting.tensors;
  return {y.detach(),
          x.grad(),
          t.weight.defined() ? t.weight.grad() : at::Tensor(),
          t.bias.defined() ? t.bias.grad() : at::Tensor(),
          t.running_mean,
          t.running_var};
}

inline Result joined(const Case& c) {
  Setting setting(c);
  return run(setting, setting.input, setting.direction, [&](const at::Tensor& x) {
    const auto& t = setting.tensors;
    return at::batch_norm(x, t.weight, t.bias, t.running_mean, t.running_var, true, kOptions.momentum, kOptions.epsilon,
                          false);
  });
}

inline std::int64_t first_sample(const Case& c, int rank) {
  return std::accumulate(c.samples.begin(), c.samples.begin() + rank, std::int64_t{0});
}

/// On the rank of `communicator`.
inline Result distributed(const Case& c, Communicator& communicator) {
  Setting setting(c);
  const auto rank = communicator.rank();
  const auto own = [&](const at::Tensor& all) {
    return all.narrow(0, first_sample(c, rank), c.samples[static_cast<std::size_t>(rank)]);
  };
  return run(setting, own(setting.input), own(setting.direction),
             [&](const at::Tensor& x) { return distributed_batch_norm(x, setting.tensors, kOptions, communicator); });
}

}  // namespace joined_batch
