#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "halftone/data/dataset.hpp"

namespace halftone::internal {

constexpr std::size_t kChannels = 3;  ///< of colour images

/// What every 8-bit value becomes in every channel.
using NormalizationTable = std::vector<std::array<float, 256>>;

/// In single precision and in the order of torchvision's ToTensor and Normalize. Throws `InvalidArgument` where there
/// are not `channels` finite means and standard deviations above 0.
NormalizationTable normalization_table(const ImageNormalization& normalization, std::size_t channels = kChannels);

/// Of images, in pixels.
struct ImageSize {
  std::int64_t height = 0;
  std::int64_t width = 0;
};

/// One labelled image: a plane for each channel; red, green and blue where there are three.
struct LabelledImage {
  const std::uint8_t* planes = nullptr;
  std::int64_t label = 0;
  at::Tensor owner{};  ///< of the planes, where they are not the set's own
};

/// The images of `data` at `indices`, which are checked, normalised, [n, channels, height, width], and their labels.
Batch normalized_batch(const Dataset& data, std::span<const std::int64_t> indices, ImageSize size,
                       const NormalizationTable& table, const std::function<LabelledImage(std::size_t)>& image);

}  // namespace halftone::internal
