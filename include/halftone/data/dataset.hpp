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
  /// Tokens of every sample, without padding; empty where all samples have one shape.
  [[nodiscard]] virtual std::vector<std::int64_t> lengths() const { return {}; }
  /// How many samples in a row belong together, the first of them a multiple of this: 2 for pairs of sentences.
  [[nodiscard]] virtual std::int64_t group() const { return 1; }
  /// The set that this one is a part of; itself where it is none.
  [[nodiscard]] virtual const Dataset& whole() const { return *this; }
  /// Fingerprint of inputs and targets, independent of where and how they are stored. Reads every sample.
  [[nodiscard]] std::string digest() const { return *digest(1); }
  /// The same; nothing when stopped.
  [[nodiscard]] std::optional<std::string> digest(int threads, const Monitor& monitor = {}) const;

  /// Samples begin to end-1.
  [[nodiscard]] Batch range(std::int64_t begin, std::int64_t end) const;
};

/// How 8-bit images become network inputs: (x / 255 - mean) / std per channel, red green blue, or grey alone.
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

/// A folder of JPEG and PNG files (told apart by their first bytes). With `labels.tsv` in it: tab-separated lines under
/// a header, of whose columns `filename` (below `directory`) and `index` (the class number, from 0) are read. Without:
/// a folder a class, whose names in the order of their bytes are classes 0, 1, …; of the files in them those count
/// whose names end in .jpg, .jpeg or .png, in the order of their names.
///
/// Of every image the centre `crop` x `crop` pixels are taken (of an odd margin the larger half is at the end). Before
/// that its shorter side is scaled (bilinear, with antialiasing) to `resize`; where that is 0, to crop / 0.875 (224:
/// 256), and only where it is below `crop` or above that. Grey images become red, green and blue; PNG's transparency
/// is left out; orientation tags are not heeded. An image is decoded when it is first asked for; crops stay in memory
/// as bytes, up to 1 GiB. Throws `InvalidArgument` for a crop above `resize`, `BadFile` for a table, a folder or, when
/// it is asked for, an image that is broken, truncated, CMYK, or above 2^25 pixels.
std::unique_ptr<Dataset> open_images(const std::string& directory, std::int64_t crop,
                                     const ImageNormalization& normalization, std::int64_t resize = 0);

/// The numbers of all samples, shortest first and else in order: batches of them are padded least. In order where all
/// have one shape.
std::vector<std::int64_t> shortest_first(const Dataset& data);

/// `parent` in that order; itself where all samples have one shape.
std::shared_ptr<const Dataset> sorted_by_length(std::shared_ptr<const Dataset> parent);

/// What DATA on the command line needs to know about the model.
struct DataOptions {
  std::vector<std::string> input_names;
  ImageNormalization normalization;
  std::int64_t crop = 0;    ///< side of the square images [3, crop, crop] that the model takes; 0 where it takes none
  std::int64_t resize = 0;  ///< to which the shorter side of images is scaled before; 0: as `open_images` does
  std::string vocabulary;   ///< vocab.txt of a model that takes texts; empty where there is none
  std::int64_t max_tokens = 0;   ///< to which texts are cut, special tokens among them; 0: 128, for squad: 384
  std::int64_t length_step = 8;  ///< texts are padded to a multiple of this; 0: always to `max_tokens`
};

/// Texts as BERT's token ids (`WordPiece`, lower case). A batch is padded with [PAD] to its longest sample, rounded up
/// to `length_step`, and is at most `max_tokens` long. Inputs [n, tokens], int64, are what the model's inputs are
/// called: "input_ids", "attention_mask" (1 where there is a token, 0 where padding), "token_type_ids"; a model with
/// one input gets the ids. `lengths` are known. Texts are tokenized when the data is opened. Throws `InvalidArgument`
/// for other inputs and where there is no vocabulary, `BadFile`, naming the line, for a file that does not hold what it
/// should.
///
/// Sentence pairs with a score: tab-separated lines under a header, of whose columns `score`, `sentence1` and
/// `sentence2` are read. Samples 2i and 2i+1 are the sentences of pair i (`group` is 2), and both have its score,
/// float64, as target.
std::unique_ptr<Dataset> open_sentence_pairs(const std::string& path, const DataOptions& options);

/// Sentences to classify: tab-separated lines under a header, of whose columns `label` (the class number, from 0) and
/// `sentence` are read.
std::unique_ptr<Dataset> open_sentences(const std::string& path, const DataOptions& options);

/// The samples of `parent` at `indices`; shares the parent's memory. Samples that belong together still do where
/// `indices` has all of them in a row.
std::unique_ptr<Dataset> make_subset(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices,
                                     std::string name);

/// `most` of the numbers 0 to size-1 at even distances, ascending, or all of them. Where `group` numbers in a row
/// belong together, `most` is rounded up to whole groups, and distances are even between these.
std::vector<std::int64_t> spread_indices(std::int64_t size, std::int64_t most, std::int64_t group = 1);

/// The samples of `parent` at `spread_indices`.
std::unique_ptr<Dataset> spread_subset(std::shared_ptr<const Dataset> parent, std::int64_t most);

/// Opens DATA as the command line writes it: "cifar10:FILE", "images:DIRECTORY", "sts:FILE" (sentence pairs),
/// "text:FILE" (sentences), "squad:FILE" (questions, squad.hpp), "idx:FILES" (grey images, idx.hpp), "npy:FILES"
/// (npy.hpp), "FILE.safetensors", each with "[a:b]" behind it for samples a to b-1 (a or b may be left out). Throws
/// `InvalidArgument` where a slice parts samples that belong together.
std::unique_ptr<Dataset> open_dataset(const std::string& spec, const DataOptions& options);

}  // namespace halftone
