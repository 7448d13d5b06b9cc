#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "halftone/data/dataset.hpp"
#include "halftone/data/weight_names.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

/// Which tensors of a weights file become which of a network.
struct WeightsOptions {
  std::string dictionary{};  ///< of a `torch.save` checkpoint with several, such as "ema"; empty: the only one
  WeightNames names{};
};

/// A safetensors file, or a state dict of `torch.save`; which of them, its first bytes tell.
struct WeightsFile {
  std::string path{};
  WeightsOptions options{};
};

/// A network that ships with Halftone as C++.
struct Architecture {
  std::string name;                       ///< "cifar_resnet20"
  std::string summary;                    ///< one line for `halftone models`
  std::vector<std::int64_t> input_shape;  ///< of one sample
  std::int64_t vocabulary = 0;  ///< where inputs are int64 token ids: how many there are; 0 where inputs are float
  std::int64_t classes = 0;
  std::optional<ImageNormalization> normalization;  ///< none where inputs are no images
  std::string weights;                              ///< where weights come from
  std::string known_accuracy;                       ///< of the float network with these weights
  /// Captures the network, not yet prepared, with the weights of a file, or random ones drawn by `seed` where the path
  /// is empty.
  std::function<Model(const WeightsFile& weights, std::uint64_t seed)> load;
};

/// Architectures that are found by name.
struct ArchitectureFamily {
  std::vector<std::string> names;  ///< what `halftone models` lists; `find` may know more, such as every depth 6n+2
  std::function<std::optional<Architecture>(const std::string& name)> find;
};

/// A family of one.
ArchitectureFamily family_of(Architecture architecture);

/// All that ship.
std::vector<ArchitectureFamily> shipped_architectures();

/// A prepared model with what the command line knows about it.
struct LoadedModel {
  Model model;
  std::string name;          ///< MODEL as given
  DataOptions data;          ///< input names, image size and normalisation, vocabulary and tokens
  std::int64_t classes = 0;  ///< 0 where unknown
};

/// What to capture a TorchScript file with, which says nothing of its inputs.
struct ScriptExample {
  struct Input {
    std::vector<std::int64_t> sizes;  ///< of one sample
    DType dtype = DType::Float32;
  };
  std::vector<Input> inputs{};
  bool any_length = false;  ///< the first of these sizes may vary, alike in all inputs: see CaptureOptions
};

/// Loads and prepares MODEL as the command line writes it: "ARCH:weights.safetensors", "ARCH:weights.pth" (a state dict
/// of `torch.save`, whatever its name ends in), "ARCH:random", "x.pt2" (torch.export), or "x.pt" (TorchScript,
/// captured on `example`). `weights` is for files of weights alone. Throws for NaN or
/// infinite weights, naming the tensor, for missing, unexpected or misshapen tensors, and for unknown architectures.
LoadedModel load_model(const std::string& spec,
                       const std::vector<ArchitectureFamily>& architectures = shipped_architectures(),
                       const ScriptExample& example = {}, std::uint64_t seed = 0, const WeightsOptions& weights = {});

}  // namespace halftone
