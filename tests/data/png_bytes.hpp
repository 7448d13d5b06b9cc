#pragma once

#include <ATen/ATen.h>

#include <png.h>
#include <stdexcept>
#include <string>
#include <zlib.h>

/// A PNG file of uint8 [height, width, 3] (red green blue), [height, width, 1] (grey) or [height, width, 4] (with
/// transparency).
inline std::string png_bytes(const at::Tensor& pixels) {
  const at::Tensor levels = pixels.contiguous();
  const std::int64_t channels = levels.size(2);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.height = static_cast<png_uint_32>(levels.size(0));
  image.width = static_cast<png_uint_32>(levels.size(1));
  image.format = channels == 1 ? PNG_FORMAT_GRAY : channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_RGBA;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, levels.const_data_ptr(), 0, nullptr) == 0)
    throw std::runtime_error(image.message);
  bytes.resize(size);
  return bytes;
}

/// Puts the checksum of the chunk at byte `begin` right.
inline void set_png_checksum(std::string& bytes, std::size_t begin) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])); };
  const std::size_t length = at(begin) << 24 | at(begin + 1) << 16 | at(begin + 2) << 8 | at(begin + 3);
  const auto* const data = reinterpret_cast<const unsigned char*>(bytes.data()) + begin + 4;
  const std::uint64_t sum = crc32(0, data, static_cast<unsigned>(length + 4));
  for (std::size_t i = 0; i < 4; ++i) bytes[begin + 8 + length + i] = static_cast<char>(sum >> (24 - 8 * i));
}
