#include <ATen/ATen.h>

#include <memory>
#include <png.h>

#include "data/image_file.hpp"

namespace halftone::internal {

at::Tensor decode_png(const ImageBytes& image) {
  png_image reader{};
  reader.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, void (*)(png_image*)> ends(&reader, png_image_free);
  const std::size_t size = image.bytes.size();
  if (png_image_begin_read_from_memory(&reader, image.bytes.data(), size) == 0)
    image.refuse("is no PNG file that can be read: ", reader.message);
  if (reader.width < 1 || reader.height < 1) image.refuse("is a PNG file without a picture (", size, " bytes)");
  image.require_decodable(reader.width, reader.height);

  reader.format = PNG_FORMAT_RGBA;
  reader.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;  // levels as they are, not made linear
  at::Tensor pixels = at::empty({reader.height, reader.width, 4}, at::kByte);
  if (png_image_finish_read(&reader, nullptr, pixels.mutable_data_ptr<std::uint8_t>(), 0, nullptr) == 0)
    image.refuse("is damaged or cut short (", size, " bytes): ", reader.message);
  return pixels.narrow(2, 0, 3).contiguous();
}

}  // namespace halftone::internal
