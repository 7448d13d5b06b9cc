#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/optim/sgd.h>

#include "halftone/train/batch_norm_module.hpp"
#include "halftone/train/data_parallel.hpp"
#include "tiny_model.hpp"

/// A network and images to train it on in a moment.
namespace bright {

using namespace halftone;

/// A convolution, a batch norm over all ranks and a linear layer, on images [n, 1, 6, 6] of 3 classes.
class Net : public torch::nn::Module {
 public:
  explicit Net(Communicator& ranks)
      : filters(register_parameter("filters", tiny::random({4, 1, 3, 3}, 1).mul_(0.5))),
        norm(register_module("norm", DistributedBatchNorm(ranks, 4))),
        head(register_parameter("head", tiny::random({3, 4}, 2))) {}

  at::Tensor forward(const at::Tensor& x) {
    return norm->forward(at::conv2d(x, filters)).relu().mean({2, 3}).matmul(head.t());
  }

  at::Tensor filters;
  DistributedBatchNorm norm;
  at::Tensor head;
};

/// Images whose class shows: a bright row.
inline std::unique_ptr<Dataset> bright_rows(std::int64_t samples, std::uint32_t seed) {
  const at::Tensor images = tiny::random({samples, 1, 6, 6}, seed).mul_(0.3);
  const at::Tensor classes = at::arange(samples).remainder(3);
  for (std::int64_t n = 0; n < samples; ++n) images[n][0][2 * (n % 3)].add_(n % 3 == 1 ? -1 : 1 + n % 3);
  return make_tensor_dataset("bright rows", {images}, classes);
}

inline OptimizerFactory sgd(double rate) {
  return [rate](std::vector<torch::optim::OptimizerParamGroup> groups) {
    return std::make_unique<torch::optim::SGD>(std::move(groups), torch::optim::SGDOptions(rate).momentum(0.9));
  };
}

struct Trained {
  TrainResult result;
  std::vector<at::Tensor> weights;
};

/// On the rank of `communicator`.
inline Trained train(const TrainOptions& options, Communicator& communicator) {
  const auto training = bright_rows(50, 3);
  const auto validation = bright_rows(31, 4);
  const auto net = std::make_shared<Net>(communicator);
  Trained own;
  own.result =
      train_data_parallel(make_trainable(net), *training, *validation,
                          {torch::optim::OptimizerParamGroup(net->parameters())}, sgd(0.1), options, communicator);
  for (const at::Tensor& weight : net->parameters()) own.weights.push_back(weight.detach().clone());
  for (const at::Tensor& buffer : net->buffers()) own.weights.push_back(buffer.clone());
  return own;
}

/// Whether weights are equal but for the order of summation.
inline bool are_close(const Trained& a, const Trained& b) {
  for (std::size_t i = 0; i < a.weights.size(); ++i)
    if (!at::allclose(a.weights[i].to(at::kDouble), b.weights[i].to(at::kDouble), 1e-4, 1e-5)) return false;
  return a.weights.size() == b.weights.size();
}

}  // namespace bright
