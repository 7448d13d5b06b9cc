#include "halftone/data/idx.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "data/byte_stream.hpp"
#include "data/normalization.hpp"
#include "halftone/core/error.hpp"

namespace halftone {
namespace {

using internal::ByteStream;

std::vector<std::int64_t> read_sizes(ByteStream& stream) {
  constexpr int kUnsignedBytes = 8;
  constexpr int kMostDimensions = 8;
  std::array<std::byte, 4> magic{};
  stream.read(magic);
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0})
    stream.fail(Errc::BadFile, "it does not begin as an IDX file does, with two zeros; is it one?");
  const int type = std::to_integer<int>(magic[2]);
  const int dimensions = std::to_integer<int>(magic[3]);
  if (type != kUnsignedBytes)
    stream.fail(Errc::Unsupported, "its numbers are of type ", type, ": type ", kUnsignedBytes,
                ", unsigned bytes, is read; convert it");
  if (dimensions < 1 || dimensions > kMostDimensions)
    stream.fail(Errc::BadFile, "it has ", dimensions, " dimensions: 1 to ", kMostDimensions, " are read");
  std::vector<std::int64_t> sizes;
  for (int i = 0; i < dimensions; ++i) {
    std::array<std::byte, 4> bytes{};
    stream.read(bytes);
    std::int64_t size = 0;
    for (const std::byte byte : bytes) size = size << 8 | std::to_integer<std::int64_t>(byte);
    sizes.push_back(size);
  }
  return sizes;
}

/// Checks that so many bytes can follow the header before memory is taken for them.
void check_sizes(const ByteStream& stream, const std::vector<std::int64_t>& sizes) {
  // Zeros are left out first: sizes that overflow without them would still overflow in strides.
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t size : sizes) {
    if (size == 0)
      empty = true;
    else if (count > std::numeric_limits<std::int64_t>::max() / size)
      stream.fail(Errc::BadFile, "its sizes ", at::IntArrayRef(sizes), " need more bytes than 64 bits can count");
    else
      count *= size;
  }
  if (!empty && static_cast<std::uint64_t>(count) > stream.most())
    stream.fail(Errc::BadFile, "its sizes ", at::IntArrayRef(sizes), " need ", count, " bytes, and it can hold ",
                stream.most(), " at most: it is damaged or cut short");
}

class IdxImages final : public Dataset {
 public:
  IdxImages(std::string files, at::Tensor images, at::Tensor labels, internal::NormalizationTable table)
      : name_("idx:" + std::move(files)),
        images_(std::move(images)),
        labels_(std::move(labels)),
        table_(std::move(table)) {}

  std::int64_t size() const override { return images_.size(0); }
  Batch get(std::span<const std::int64_t> indices) const override {
    const internal::ImageSize image{.height = images_.size(1), .width = images_.size(2)};
    const auto* const pixels = images_.const_data_ptr<std::uint8_t>();
    const auto* const labels = labels_.defined() ? labels_.const_data_ptr<std::int64_t>() : nullptr;
    Batch batch = internal::normalized_batch(*this, indices, image, table_, [&](std::size_t index) {
      return internal::LabelledImage{.planes = pixels + index * static_cast<std::size_t>(image.height * image.width),
                                     .label = labels == nullptr ? 0 : labels[index]};
    });
    if (labels == nullptr) batch.targets = at::Tensor();
    return batch;
  }
  at::Tensor targets() const override { return labels_; }
  std::string name() const override { return name_; }

 private:
  std::string name_;
  at::Tensor images_;  ///< [n, rows, columns], uint8
  at::Tensor labels_;  ///< [n], int64; undefined where unlabelled
  internal::NormalizationTable table_;
};

/// The normalisation of the one channel, where several are alike.
ImageNormalization of_one_channel(const ImageNormalization& normalization) {
  const auto& [mean, std] = normalization;
  const auto alike = [](const std::vector<double>& values) {
    return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
  };
  if (mean.empty() || mean.size() != std.size() || !alike(mean) || !alike(std)) return normalization;
  return {.mean = {mean.front()}, .std = {std.front()}};
}

}  // namespace

at::Tensor read_idx(const std::filesystem::path& path) {
  ByteStream stream(path);
  const std::vector<std::int64_t> sizes = read_sizes(stream);
  check_sizes(stream, sizes);
  at::Tensor tensor = at::empty(sizes, at::kByte);
  if (tensor.numel() > 0) stream.read({static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()});
  stream.expect_end();
  return tensor;
}

std::unique_ptr<Dataset> open_idx(const std::string& files, const ImageNormalization& normalization) {
  constexpr std::string_view kTarget = ",target=";
  const auto comma = files.find(kTarget);
  const std::string image_file = files.substr(0, comma);
  const std::string label_file = comma == files.npos ? "" : files.substr(comma + kTarget.size());
  if (image_file.empty() || (comma != files.npos && label_file.empty()) || label_file.find(kTarget) != files.npos)
    throw Error(Errc::InvalidArgument, message("data \"idx:", files, "\" is not understood: write idx:IMAGES or ",
                                               "idx:IMAGES,target=LABELS, IDX files, plain or .gz"));
  internal::NormalizationTable table = internal::normalization_table(of_one_channel(normalization), 1);
  at::Tensor images = read_idx(image_file);
  if (images.dim() != 3 || images.numel() == 0)
    throw Error(Errc::BadFile, message("file \"", image_file, "\" holds sizes ", images.sizes(),
                                       ": images are [samples, rows, columns], at least one of each"));
  at::Tensor labels;
  if (!label_file.empty()) {
    labels = read_idx(label_file);
    if (labels.dim() != 1 || labels.size(0) != images.size(0))
      throw Error(Errc::BadFile, message("file \"", label_file, "\" holds sizes ", labels.sizes(), ", and \"",
                                         image_file, "\" ", images.sizes(), ": a label for each image is needed"));
    labels = labels.to(at::kLong);
  }
  return std::make_unique<IdxImages>(files, std::move(images), std::move(labels), std::move(table));
}

}  // namespace halftone
