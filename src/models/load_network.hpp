#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "halftone/graph/capture.hpp"
#include "models/weights.hpp"

namespace halftone::internal {

/// Seeds the process-wide generator, from which modules draw; leaves it as it was found.
class SeededDraws {
 public:
  explicit SeededDraws(std::uint64_t seed);
  ~SeededDraws();
  SeededDraws(SeededDraws&&) = delete;
  SeededDraws& operator=(SeededDraws&&) = delete;

 private:
  at::Generator generator_;
  at::Generator before_;
};

/// Draws convolution weights so that activations keep their size through any number of layers without trained batch
/// norms. Source: He et al., Delving Deep into Rectifiers, 2015, equation 10.
void draw_convolutions(const std::vector<NamedTensor>& parameters);

/// How a network takes its inputs, and its weights.
struct NetworkInputs {
  std::vector<at::Tensor> examples;
  CaptureOptions capture{};
  std::vector<std::string> left_out{};  ///< beginnings of names in files of weights that the network has no use for
};

/// What an architecture's `load` does with a torch::nn module `Network` that `arguments` construct.
template <class Network, class... Arguments>
Model load_network(const std::string& architecture, const WeightsFile& weights, std::uint64_t seed,
                   const NetworkInputs& inputs, const Arguments&... arguments) {
  std::optional<SeededDraws> draws(seed);
  Network network(arguments...);
  const std::vector<NamedTensor> parameters = named_tensors(network);
  if (weights.path.empty()) draw_convolutions(parameters);
  draws.reset();
  if (!weights.path.empty()) load_weights(weights, architecture, parameters, inputs.left_out);
  network.eval();
  for (const auto& parameter : parameters) parameter.tensor.requires_grad_(false);
  return capture(network, inputs.examples, inputs.capture);
}

template <class Network, class... Arguments>
Model load_network(const std::string& architecture, const WeightsFile& weights, std::uint64_t seed,
                   const at::Tensor& example, const Arguments&... arguments) {
  NetworkInputs inputs;
  inputs.examples.push_back(example);
  return load_network<Network>(architecture, weights, seed, inputs, arguments...);
}

}  // namespace halftone::internal
