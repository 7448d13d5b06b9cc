// Pictures, and pictures that are far larger than their files.
#include "data/jpeg_bytes.hpp"
#include "data/png_bytes.hpp"
#include "hostile/seeds.hpp"

namespace hostile {

namespace {

at::Tensor picture(std::int64_t channels) {
  return at::arange(12 * 16 * channels, at::kInt).mul(37).remainder(251).to(at::kByte).view({12, 16, channels});
}

std::string big_endian(std::uint32_t number) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift & 0xff);
  return bytes;
}

std::string deflated_zeros(std::size_t bytes) {
  const std::string zeros(bytes, '\0');
  uLongf size = compressBound(zeros.size());
  std::string deflated(size, '\0');
  compress(reinterpret_cast<Bytef*>(deflated.data()), &size, reinterpret_cast<const Bytef*>(zeros.data()),
           zeros.size());
  return deflated.substr(0, size);
}

std::string chunk(const std::string& kind, const std::string& content) {
  std::string bytes = big_endian(static_cast<std::uint32_t>(content.size())) + kind + content + big_endian(0);
  set_png_checksum(bytes, 0);
  return bytes;
}

/// Grey, 8 bits.
std::string png_file(std::uint32_t width, std::uint32_t height, const std::string& before, const std::string& data) {
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", big_endian(width) + big_endian(height) + std::string("\x08\0\0\0\0", 5)) +
         before + chunk("IDAT", data) + chunk("IEND", "");
}

/// The chunks of a PNG file, so that each is damaged before its checksum is computed.
Seed png(const std::string& name, const std::string& file) {
  constexpr std::size_t kMagic = 8;
  std::vector<std::string> parts;
  for (std::size_t at = kMagic; at < file.size();) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(file[at + i]);
    parts.push_back(file.substr(at + 4, length + 4));
    at += length + 12;
  }
  return {name, parts, [magic = file.substr(0, kMagic)](const std::vector<std::string>& chunks) {
            std::string joined = magic;
            for (const std::string& one : chunks)
              joined += one.size() < 4 ? one : chunk(one.substr(0, 4), one.substr(4));
            return joined;
          }};
}

/// The picture's size in the header of its frame.
std::string with_size(std::string jpeg, std::uint16_t height, std::uint16_t width) {
  const std::size_t frame = jpeg.find("\xff\xc0");
  jpeg.replace(frame + 5, 4, big_endian(static_cast<std::uint32_t>(height) << 16 | width));
  return jpeg;
}

}  // namespace

Seeds jpeg_seeds() {
  Seeds seeds;
  const std::string colours = jpeg_bytes(picture(3), 70);
  seeds.good = {seed("colours", colours), seed("grey", jpeg_bytes(picture(1), 90))};
  seeds.bad = {seed("cmyk", jpeg_bytes(picture(4))),
               seed("65535 wide", with_size(colours, 65535, 65535)),
               seed("most pixels", with_size(colours, 4096, 8192)),
               seed("no rows", with_size(colours, 0, 16)),
               seed("restarts", colours.substr(0, colours.size() / 2) + repeated("\xff\xd0", 100000)),
               seed("comments", "\xff\xd8" + repeated("\xff\xfe\xff\xff" + std::string(65533, 'x'), 30))};
  return seeds;
}

Seeds png_seeds() {
  constexpr std::size_t kBomb = 64u << 20;
  Seeds seeds;
  seeds.good = {png("colours", png_bytes(picture(3))), png("grey", png_bytes(picture(1))),
                png("transparent", png_bytes(picture(4)))};
  const std::string row = deflated_zeros(17 * 12);
  seeds.bad = {
      seed("a bomb", png_file(32768, 32768, "", deflated_zeros(kBomb))),
      seed("more data than pixels", png_file(16, 12, "", deflated_zeros(kBomb))),
      seed("profile bomb", png_file(16, 12, chunk("iCCP", std::string("p\0\0", 3) + deflated_zeros(kBomb)), row)),
      seed("text bomb", png_file(16, 12, chunk("zTXt", std::string("t\0\0", 3) + deflated_zeros(kBomb)), row)),
      seed("many texts", png_file(16, 12, repeated(chunk("tEXt", std::string("t\0x", 3)), 50000), row)),
      seed("no width", png_file(0, 12, "", row)),
      seed("largest", png_file(0x7fffffff, 0x7fffffff, "", row))};
  return seeds;
}

}  // namespace hostile
