#include "data/image_file.hpp"

#include <ATen/ATen.h>

#include <string_view>

#include "halftone/core/file.hpp"

namespace halftone::internal {

at::Tensor read_image(const std::filesystem::path& path) {
  const MappedFile file(path);
  const ImageBytes image{path, file.bytes()};
  if (image.bytes.empty()) image.refuse("is empty: it must be a JPEG or PNG file");
  const std::string_view text(reinterpret_cast<const char*>(image.bytes.data()), image.bytes.size());
  if (text.starts_with("\xff\xd8")) return decode_jpeg(image);
  if (text.starts_with("\x89PNG\r\n\x1a\n")) return decode_png(image);
  image.refuse("is neither a JPEG nor a PNG file: convert it");
}

}  // namespace halftone::internal
