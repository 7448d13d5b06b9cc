#include "halftone/models/trainable.hpp"

#include <torch/nn/modules/batchnorm.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "graph/networks.hpp"
#include "halftone/data/safetensors.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/models/architecture.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

at::Tensor images(std::int64_t count) { return at::linspace(-1, 1, count * 784).mul(7).sin().view({count, 1, 28, 28}); }

at::Tensor run(const LoadedModel& loaded, const at::Tensor& x) {
  return Interpreter(loaded.model).run(std::vector{x})[0];
}

/// Stands in for a batch norm, with its names.
struct CountedNorm : torch::nn::Module {
  explicit CountedNorm(std::int64_t channels) {
    weight = register_parameter("weight", at::ones({channels}));
    bias = register_parameter("bias", at::zeros({channels}));
    mean = register_buffer("running_mean", at::zeros({channels}));
    var = register_buffer("running_var", at::ones({channels}));
  }
  at::Tensor forward(const at::Tensor& x) {
    ++calls;
    return at::batch_norm(x, weight, bias, mean, var, is_training(), 0.1, 1e-5, false);
  }

  at::Tensor weight, bias, mean, var;
  int calls = 0;
};

}  // namespace

TEST_CASE("a network to train has the weights and outputs of the architecture of its name") {
  const torch::NoGradGuard no_grad;
  const TrainableModule network = make_fashion_resnet("fashion_resnet14", 5);
  CHECK(network.module->is_training());
  network.module->eval();
  const LoadedModel loaded = load_model("fashion_resnet14:random", shipped_architectures(), {}, 5);
  CHECK(torch::allclose(network.forward(images(2)), run(loaded, images(2)), 1e-4, 1e-4));
  const LoadedModel other = load_model("fashion_resnet14:random", shipped_architectures(), {}, 6);
  CHECK_FALSE(torch::allclose(network.forward(images(2)), run(other, images(2)), 1e-4, 1e-4));
}

TEST_CASE("a trained network is saved, loaded as its architecture, and computes the same") {
  const TempDir dir;
  const TrainableModule network = make_fashion_resnet("fashion_resnet8", 1);
  torch::optim::SGD optimizer(network.module->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));
  const at::Tensor x = images(10);
  const at::Tensor labels = at::arange(10);
  std::vector<double> losses;
  for (int step = 0; step < 8; ++step) {
    optimizer.zero_grad();
    const at::Tensor loss = at::cross_entropy_loss(network.forward(x), labels);
    loss.backward();
    optimizer.step();
    losses.push_back(loss.item<double>());
  }
  CHECK(losses.back() < losses.front());

  save_weights(dir / "trained.safetensors", named_tensors(*network.module));
  CHECK(SafetensorsFile(dir / "trained.safetensors").at("bn1.num_batches_tracked").dtype == DType::Int64);
  const LoadedModel loaded = load_model("fashion_resnet8:" + (dir / "trained.safetensors").string());
  CHECK(loaded.data.normalization.mean == std::vector<double>{0.2860});
  network.module->eval();
  const torch::NoGradGuard no_grad;
  CHECK(torch::allclose(network.forward(x), run(loaded, x), 1e-3, 1e-3));
}

TEST_CASE("another batch norm can stand in, and its weights are the architecture's") {
  std::vector<std::shared_ptr<CountedNorm>> norms;
  std::vector<std::int64_t> channels;
  const TrainableModule network = make_fashion_resnet("fashion_resnet8", 1, [&](std::int64_t count) {
    channels.push_back(count);
    norms.push_back(std::make_shared<CountedNorm>(count));
    return make_trainable(norms.back());
  });
  CHECK(channels == std::vector<std::int64_t>{16, 16, 16, 32, 32, 64, 64});
  static_cast<void>(network.forward(images(3)));
  CHECK(std::all_of(norms.begin(), norms.end(), [](const auto& norm) { return norm->calls == 1; }));
  CHECK(norms.front()->mean.abs().max().item<double>() > 0);

  const TempDir dir;
  save_weights(dir / "x.safetensors", named_tensors(*network.module));
  const LoadedModel loaded = load_model("fashion_resnet8:" + (dir / "x.safetensors").string());
  network.module->eval();
  CHECK_FALSE(norms.back()->is_training());
  const torch::NoGradGuard no_grad;
  CHECK(torch::allclose(network.forward(images(3)), run(loaded, images(3)), 1e-3, 1e-3));
}

TEST_CASE("networks that cannot be trained and tensors that cannot be saved are refused by name") {
  for (const std::string name : {"fashion_resnet9", "fashion_resnet", "cifar_resnet20", "fashion_resnet1208", ""}) {
    const Failure bad = failure([&] { static_cast<void>(make_fashion_resnet(name)); });
    CHECK(bad.code == Errc::NotFound);
    CHECK_THAT(bad.text, Contains("\"" + name + "\""));
  }
  const TempDir dir;
  const Failure bad = failure([&] {
    save_weights(dir / "x", {{"spectrum", at::zeros({2}, at::kComplexFloat), false}});
  });
  CHECK(bad.code == Errc::Unsupported);
  CHECK_THAT(bad.text, Contains("spectrum"));
  CHECK(dir.count() == 0);
}
