#include <ATen/ATen.h>

#include <memory>
#include <turbojpeg.h>

#include "data/image_file.hpp"

namespace halftone::internal {

namespace {

struct Destroy {
  void operator()(void* decoder) const { tjDestroy(decoder); }
};

}  // namespace

at::Tensor decode_jpeg(const ImageBytes& image) {
  const std::unique_ptr<void, Destroy> decoder(tjInitDecompress());
  if (!decoder) throw Error(Errc::Internal, message("the JPEG decoder does not start: ", tjGetErrorStr2(nullptr)));
  const auto* const bytes = reinterpret_cast<const unsigned char*>(image.bytes.data());
  const unsigned long size = image.bytes.size();

  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colors = 0;
  if (tjDecompressHeader3(decoder.get(), bytes, size, &width, &height, &subsampling, &colors) != 0)
    image.refuse("is no JPEG file that can be read: ", tjGetErrorStr2(decoder.get()));
  if (width < 1 || height < 1) image.refuse("is a JPEG file without a picture (", size, " bytes)");
  if (colors == TJCS_CMYK || colors == TJCS_YCCK)
    image.refuse("has CMYK colours: only grey and red-green-blue (YCbCr) ones are read; convert it");
  image.require_decodable(width, height);

  at::Tensor pixels = at::empty({height, width, 3}, at::kByte);
  // A warning means damaged or missing data, which the decoder would replace by a guess.
  constexpr int kFlags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  if (tjDecompress2(decoder.get(), bytes, size, pixels.mutable_data_ptr<std::uint8_t>(), width, 3 * width, height,
                    TJPF_RGB, kFlags) != 0)
    image.refuse("is damaged or cut short (", size, " bytes): ", tjGetErrorStr2(decoder.get()));
  return pixels;
}

}  // namespace halftone::internal
