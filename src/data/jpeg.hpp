#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

namespace halftone::internal {

/// The most pixels of an image that is decoded or scaled: it bounds the memory that a hostile file takes.
constexpr std::int64_t kMostPixels = std::int64_t{1} << 25;

/// Decodes a JPEG file to uint8 [height, width, 3], red green blue. Grey images become colour. Throws `NotFound`, `Io`
/// and, naming the file, `BadFile` for what is no JPEG, is damaged or cut short, is CMYK, or has more than kMostPixels.
at::Tensor read_jpeg(const std::filesystem::path& path);

}  // namespace halftone::internal
