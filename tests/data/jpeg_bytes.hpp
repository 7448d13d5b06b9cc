#pragma once

#include <ATen/ATen.h>

#include <stdexcept>
#include <string>
#include <turbojpeg.h>

/// A JPEG file of uint8 [height, width, 3] (red green blue), [height, width, 1] (grey) or [height, width, 4] (CMYK).
inline std::string jpeg_bytes(const at::Tensor& pixels, int quality = 100) {
  const at::Tensor image = pixels.contiguous();
  const auto height = static_cast<int>(image.size(0));
  const auto width = static_cast<int>(image.size(1));
  const auto channels = static_cast<int>(image.size(2));
  const int format = channels == 1 ? TJPF_GRAY : channels == 3 ? TJPF_RGB : TJPF_CMYK;
  const int subsampling = channels == 1 ? TJSAMP_GRAY : TJSAMP_444;
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const tjhandle encoder = tjInitCompress();
  const int failed = tjCompress2(encoder, image.const_data_ptr<std::uint8_t>(), width, channels * width, height, format,
                                 &bytes, &size, subsampling, quality, 0);
  std::string text;
  if (failed == 0) text.assign(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(encoder);
  if (failed != 0) throw std::runtime_error("the JPEG encoder failed");
  return text;
}
