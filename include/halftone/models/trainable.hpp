#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "halftone/graph/capture.hpp"

namespace torch::nn {
class Module;
}

namespace halftone {

/// A network, or a layer of one, that can be trained: a module with its parameters, buffers and mode (training at
/// first), and what it does in that mode. Both share the module.
struct TrainableModule {
  std::shared_ptr<torch::nn::Module> module;
  std::function<at::Tensor(const at::Tensor& x)> forward;
};

/// From a module whose `forward` takes one tensor and gives one.
template <class Module>
TrainableModule make_trainable(std::shared_ptr<Module> module) {
  return {module, [module](const at::Tensor& x) { return module->forward(x); }};
}

/// Makes a batch norm of that many channels, of [n, channels, rows, columns]. For its weights to be those of the
/// architecture its tensors are called as torch::nn::BatchNorm2d's are: weight, bias, running_mean, running_var, and,
/// or not, num_batches_tracked.
using BatchNormFactory = std::function<TrainableModule(std::int64_t channels)>;

/// The architecture "fashion_resnet8", "fashion_resnet14" … (depth 6n+2, 8 to 1202) to train: a CIFAR ResNet with
/// option-A shortcuts, from grey images [n, 1, 28, 28] to logits [n, 10]. Convolutions are drawn by `seed` as He et al.
/// (2015) say, and as `fashion_resnet8:random` has them. Batch norms are torch::nn::BatchNorm2d where `batch_norm` is
/// empty. Names of tensors are the architecture's. Throws `NotFound` for other names.
TrainableModule make_fashion_resnet(const std::string& name, std::uint64_t seed = 0,
                                    const BatchNormFactory& batch_norm = {});

/// Writes `tensors`, as `named_tensors(module)` gives them, to a safetensors file: what "ARCH:FILE" loads. Tensors may
/// be on any device and of any strides; `path` holds its old content or the whole new one, never a part. Throws
/// `InvalidArgument` for names that are there twice, `Unsupported`, naming the tensor, for types that safetensors does
/// not have, and `Io`.
void save_weights(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors);

}  // namespace halftone
