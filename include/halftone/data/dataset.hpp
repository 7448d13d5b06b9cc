#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "halftone/core/monitor.hpp"
#include "halftone/data/split.hpp"

namespace halftone {

/// Some samples, ready for the network.
struct Batch {
  std::vector<at::Tensor> inputs;  ///< each [n, …], in the order of the graph's inputs
  at::Tensor targets;              ///< [n, …]; integer class labels for classification; undefined where unlabelled
};

/// Labelled samples in a fixed order. Const members may be called in parallel.
class Dataset {
 public:
  virtual ~Dataset() = default;

  [[nodiscard]] virtual std::int64_t size() const = 0;
  /// The samples at `indices`, in that order; indices are within [0, size()).
  [[nodiscard]] virtual Batch get(std::span<const std::int64_t> indices) const = 0;
  /// All targets [size(), …]; undefined where unlabelled.
  [[nodiscard]] virtual at::Tensor targets() const = 0;
  /// Where the samples come from, as the user wrote it, e.g. "cifar10:validation.bin[0:2000]".
  [[nodiscard]] virtual std::string name() const = 0;
  /// Fingerprint of inputs and targets, independent of where and how they are stored. Reads every sample.
  [[nodiscard]] std::string digest() const { return *digest(1); }
  /// The same; nothing when stopped.
  [[nodiscard]] std::optional<std::string> digest(int threads, const Monitor& monitor = {}) const;

  /// Samples begin to end-1.
  [[nodiscard]] Batch range(std::int64_t begin, std::int64_t end) const;
};

/// How 8-bit images become network inputs: (x / 255 - mean) / std per channel, red green blue.
struct ImageNormalization {
  std::vector<double> mean{0, 0, 0};
  std::vector<double> std{1, 1, 1};
};

/// Inputs and targets held as tensors, each [n, …]. `targets` may be undefined.
std::unique_ptr<Dataset> make_tensor_dataset(std::string name, std::vector<at::Tensor> inputs, at::Tensor targets);

/// A safetensors file that holds the model's inputs by name and, where labelled, `target`. A model with one input
/// takes the only tensor beside `target` whatever its name.
std::unique_ptr<Dataset> open_tensor_dataset(const std::string& path, const std::vector<std::string>& input_names);

/// The binary version of CIFAR-10: records of 1 label byte and 3,072 pixel bytes (red, green, blue planes of
/// 32 x 32). Pixels stay 8-bit in memory and are normalised batch by batch. Throws `BadFile` for a size that is no
/// multiple of 3,073 and for a label above 9.
std::unique_ptr<Dataset> open_cifar10(const std::string& path, const ImageNormalization& normalization);

/// A folder of JPEG files with `labels.tsv`: tab-separated lines under a header, of whose columns `filename` (below
/// `directory`) and `index` (the class number, from 0) are read. Of every image the centre `crop` x `crop` pixels are
/// taken (of an odd margin the larger half is at the end); where the shorter side is below `crop` or above crop / 0.875
/// (224: 256), the image is first scaled (bilinear, with antialiasing) to that length. Grey images become red, green
/// and blue; orientation tags are not heeded. An image is decoded when it is first asked for; crops stay in memory as
/// bytes, up to 1 GiB. Throws `BadFile` for a table or, when it is asked for, an image that is broken, truncated, CMYK,
/// or above 2^25 pixels.
std::unique_ptr<Dataset> open_images(const std::string& directory, std::int64_t crop,
                                     const ImageNormalization& normalization);

/// The samples of `parent` at `indices`; shares the parent's memory.
std::unique_ptr<Dataset> make_subset(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices,
                                     std::string name);

/// `most` of the numbers 0 to size-1 at even distances, ascending, or all of them.
std::vector<std::int64_t> spread_indices(std::int64_t size, std::int64_t most);

/// The samples of `parent` at `spread_indices`.
std::unique_ptr<Dataset> spread_subset(std::shared_ptr<const Dataset> parent, std::int64_t most);

/// What DATA on the command line needs to know about the model.
struct DataOptions {
  std::vector<std::string> input_names;
  ImageNormalization normalization;
  std::int64_t crop = 0;  ///< side of the square images [3, crop, crop] that the model takes; 0 where it takes none
};

/// Opens DATA as the command line writes it: "cifar10:FILE", "images:DIRECTORY", "FILE.safetensors", each with "[a:b]"
/// behind it for samples a to b-1 (a or b may be left out).
std::unique_ptr<Dataset> open_dataset(const std::string& spec, const DataOptions& options);

}  // namespace halftone
