#pragma once

#include <array>
#include <cstdint>

#include "halftone/data/dataset.hpp"

namespace halftone::internal {

constexpr std::int64_t kChannels = 3;

/// What every 8-bit value becomes in every channel.
using NormalizationTable = std::array<std::array<float, 256>, kChannels>;

/// In single precision and in the order of torchvision's ToTensor and Normalize. Throws `InvalidArgument` where there
/// are not three finite means and standard deviations above 0.
NormalizationTable normalization_table(const ImageNormalization& normalization);

}  // namespace halftone::internal
