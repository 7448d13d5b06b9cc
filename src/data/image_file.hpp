#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "halftone/core/error.hpp"

namespace halftone::internal {

/// The most pixels of an image that is decoded or scaled: it bounds the memory that a hostile file takes.
constexpr std::int64_t kMostPixels = std::int64_t{1} << 25;

/// Decodes a JPEG or PNG file to uint8 [height, width, 3], red green blue. Grey images become colour. Throws
/// `NotFound`, `Io` and, naming the file, `BadFile` for what is neither, is damaged or cut short, is CMYK, or has more
/// than kMostPixels.
at::Tensor read_image(const std::filesystem::path& path);

/// The content of an image file.
struct ImageBytes {
  const std::filesystem::path& path;
  std::span<const std::byte> bytes;

  /// Throws `BadFile` naming the file.
  template <class... Why>
  [[noreturn]] void refuse(const Why&... why) const {
    throw Error(Errc::BadFile, message("image ", path, ' ', why...));
  }
  void require_decodable(std::int64_t width, std::int64_t height) const {
    if (height > kMostPixels / width)
      refuse("has ", width, " x ", height, " pixels: at most ", kMostPixels, " are decoded; scale it down");
  }
};

at::Tensor decode_jpeg(const ImageBytes& image);

/// Levels of 16 bits are rounded to 8, a gamma that is not sRGB's is made so; transparency is left out, as image
/// readers of Python leave it out.
at::Tensor decode_png(const ImageBytes& image);

}  // namespace halftone::internal
