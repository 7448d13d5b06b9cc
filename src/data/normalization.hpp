#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include "halftone/data/dataset.hpp"

namespace halftone::internal {

constexpr std::int64_t kChannels = 3;

/// What every 8-bit value becomes in every channel.
using NormalizationTable = std::array<std::array<float, 256>, kChannels>;

/// In single precision and in the order of torchvision's ToTensor and Normalize. Throws `InvalidArgument` where there
/// are not three finite means and standard deviations above 0.
NormalizationTable normalization_table(const ImageNormalization& normalization);

/// One labelled image: red, green and blue planes.
struct LabelledImage {
  const std::uint8_t* planes = nullptr;
  std::int64_t label = 0;
  at::Tensor owner{};  ///< of the planes, where they are not the set's own
};

/// The images of `data` at `indices`, which are checked, `side` pixels high and wide, normalised, and their labels.
Batch normalized_batch(const Dataset& data, std::span<const std::int64_t> indices, std::int64_t side,
                       const NormalizationTable& table, const std::function<LabelledImage(std::size_t)>& image);

}  // namespace halftone::internal
