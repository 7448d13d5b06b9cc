#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/core/zip_index.hpp"

/// `count` bytes of a number, little-endian.
inline std::string little_endian(std::uint64_t number, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
  return bytes;
}

inline std::uint32_t crc_of(std::string_view text) { return halftone::crc32(std::as_bytes(std::span(text))); }

/// One entry to be written; what is not set follows from the content.
struct ZipPart {
  std::string name;
  std::string content;
  std::uint64_t flags = 0;
  std::uint64_t method = 0;
  std::string extra = "";  ///< of the local header
};

/// An archive of stored entries. With `zip64` every size and offset stands in a zip64 field.
inline std::string zip_bytes(const std::vector<ZipPart>& parts, bool zip64 = false) {
  std::string archive;
  std::string directory;
  const auto small = [&](std::uint64_t number, int bytes) { return little_endian(zip64 ? ~0ULL : number, bytes); };
  for (const auto& part : parts) {
    const std::size_t header = archive.size();
    const std::size_t size = part.content.size();
    const std::string shared = little_endian(part.flags, 2) + little_endian(part.method, 2) + little_endian(0, 4) +
                               little_endian(crc_of(part.content), 4) + small(size, 4) + small(size, 4) +
                               little_endian(part.name.size(), 2);
    archive += "PK\3\4" + little_endian(20, 2) + shared + little_endian(part.extra.size(), 2) + part.name + part.extra +
               part.content;
    const std::string extra = zip64 ? little_endian(1, 2) + little_endian(24, 2) + little_endian(size, 8) +
                                          little_endian(size, 8) + little_endian(header, 8)
                                    : "";
    directory += "PK\1\2" + little_endian(20, 2) + little_endian(20, 2) + shared + little_endian(extra.size(), 2) +
                 little_endian(0, 10) + small(header, 4) + part.name + extra;
  }
  const std::size_t start = archive.size();
  archive += directory;
  if (zip64) {
    const std::size_t end = archive.size();
    archive += "PK\6\6" + little_endian(44, 8) + little_endian(45, 2) + little_endian(45, 2) + little_endian(0, 8) +
               little_endian(parts.size(), 8) + little_endian(parts.size(), 8) + little_endian(directory.size(), 8) +
               little_endian(start, 8);
    archive += "PK\6\7" + little_endian(0, 4) + little_endian(end, 8) + little_endian(1, 4);
  }
  return archive + "PK\5\6" + little_endian(0, 4) + small(parts.size(), 2) + small(parts.size(), 2) +
         small(directory.size(), 4) + small(start, 4) + little_endian(0, 2);
}
