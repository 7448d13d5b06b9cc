#pragma once

#include <ATen/core/Tensor.h>

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "halftone/core/error.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

struct CaptureOptions {
  /// Dimension 0 of every input is the batch. Where false, the graph runs at the captured sizes only.
  bool dynamic_batch = true;
  /// Dimension of the inputs, of those that have it, along which they may be longer or shorter, e.g. 1 for token ids
  /// [batch, tokens]: the graph then runs at any length. Sites are counted and timed at the example's, at least 3.
  std::optional<std::int64_t> length_dimension{};
  /// Names of the graph's inputs; "input", or "input0", "input1" … where empty.
  std::vector<std::string> input_names{};
  /// Operator namespaces that may appear. Operators outside them are refused: Halftone knows neither their gradients
  /// nor their meaning.
  std::vector<std::string> namespaces{"aten"};
};

/// A parameter or buffer by name.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
  bool is_buffer = false;  ///< not trained
};

/// Parameters, then buffers, of a torch::nn module (or module holder), named as in its state dict; they share its
/// memory.
template <class Module>
std::vector<NamedTensor> named_tensors(const Module& module) {
  std::vector<NamedTensor> tensors;
  for (const auto& item : module.named_parameters()) tensors.push_back({item.key(), item.value()});
  for (const auto& item : module.named_buffers()) tensors.push_back({item.key(), item.value(), true});
  return tensors;
}

using ForwardFn = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

/// Captures any callable by observing the operators of forward passes on `inputs` at two batch sizes (and two lengths),
/// and checks the graph against it at two others. The callable must be in evaluation mode and must not change its
/// state. The graph's tensors share memory with `parameters`. Throws `Unsupported`, naming operator and place, for what
/// cannot be captured: control flow that depends on data, operators outside `namespaces`, training mode, random
/// numbers. Cost: six forward passes of five samples or fewer, eight with lengths.
Model capture(const ForwardFn& forward, const std::vector<NamedTensor>& parameters,
              const std::vector<at::Tensor>& inputs, const CaptureOptions& options = {});

namespace internal {

/// Tensors in the outputs of `forward`: a tensor, a vector of tensors, or a tuple of tensors.
inline std::vector<at::Tensor> flatten(at::Tensor output) { return {std::move(output)}; }
inline std::vector<at::Tensor> flatten(std::vector<at::Tensor> outputs) { return outputs; }
template <std::same_as<at::Tensor>... Tensors>
std::vector<at::Tensor> flatten(std::tuple<Tensors...> outputs) {
  return std::apply([](auto&... tensors) { return std::vector<at::Tensor>{std::move(tensors)...}; }, outputs);
}

inline void refuse_training(bool training, const std::string& module) {
  if (training)
    throw Error(Errc::Unsupported,
                message("module \"", module, "\" is in training mode: call eval() on the network before capture"));
}

}  // namespace internal

/// Captures a torch::nn module (or module holder) whose `forward` takes as many tensors as `inputs` has, up to four.
template <class Module>
requires requires(Module& module) { module.named_parameters(); }
Model capture(Module& module, const std::vector<at::Tensor>& inputs, const CaptureOptions& options = {}) {
  internal::refuse_training(module.is_training(), "");
  for (const auto& submodule : module.named_modules("", false))
    internal::refuse_training(submodule.value()->is_training(), submodule.key());
  const ForwardFn forward = [&module](const std::vector<at::Tensor>& x) {
    if constexpr (requires { module.forward(x[0]); }) {
      if (x.size() == 1) return internal::flatten(module.forward(x[0]));
    }
    if constexpr (requires { module.forward(x[0], x[0]); }) {
      if (x.size() == 2) return internal::flatten(module.forward(x[0], x[1]));
    }
    if constexpr (requires { module.forward(x[0], x[0], x[0]); }) {
      if (x.size() == 3) return internal::flatten(module.forward(x[0], x[1], x[2]));
    }
    if constexpr (requires { module.forward(x[0], x[0], x[0], x[0]); }) {
      if (x.size() == 4) return internal::flatten(module.forward(x[0], x[1], x[2], x[3]));
    }
    throw Error(Errc::InvalidArgument, message("the module's forward does not take ", x.size(), " tensors"));
  };
  return capture(forward, named_tensors(module), inputs, options);
}

/// Loads a TorchScript file and captures it; inputs keep the names of the arguments of its `forward` unless `options`
/// has others. Throws `NotFound`, `BadFile` or, as above, `Unsupported`.
Model capture_torchscript(const std::string& path, const std::vector<at::Tensor>& inputs,
                          const CaptureOptions& options = {});

}  // namespace halftone
