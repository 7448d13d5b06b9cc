#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

/// One file of a zip archive.
struct ZipEntry {
  std::string name;
  std::uint64_t offset = 0;  ///< of its data in the archive
  std::uint64_t size = 0;    ///< bytes of its data as they lie in the archive
  std::uint32_t crc32 = 0;   ///< of its content
  bool is_stored = true;     ///< neither compressed nor encrypted: its bytes are its content
};

/// The list of files in a zip archive held in memory, such as `torch.save` and `torch.export.save` write. Only stored
/// entries can be read, so that their bytes are used where they lie. Small and large archives (zip64) on one disk.
/// Source: PKWARE, APPNOTE.TXT .ZIP File Format Specification, version 6.3.10.
class ZipIndex {
 public:
  /// Reads the central directory, and the header before each entry. `name` stands in messages. `archive` must outlive
  /// this. Throws `BadFile` where an offset, size or count does not fit, headers contradict each other, entries
  /// overlap, a name occurs twice or leads outside a folder. Cost: O(n log n) for n entries; reads no content.
  ZipIndex(std::span<const std::byte> archive, std::string name);

  [[nodiscard]] const std::vector<ZipEntry>& entries() const { return entries_; }  ///< sorted by name
  [[nodiscard]] const ZipEntry* find(std::string_view name) const;                 ///< null when absent
  /// The content of that entry, inside the archive. Throws `NotFound`, or `Unsupported` where it is not stored.
  [[nodiscard]] std::span<const std::byte> bytes(std::string_view name) const;
  [[nodiscard]] std::span<const std::byte> bytes(const ZipEntry& entry) const;
  /// Throws `BadFile` where the content of `entry` does not have its checksum. Reads all of it.
  void verify(const ZipEntry& entry) const;

 private:
  std::span<const std::byte> archive_;
  std::string name_;
  std::vector<ZipEntry> entries_;
};

/// The checksum of zip archives. Source: ISO 3309; polynomial 0xEDB88320, reflected.
std::uint32_t crc32(std::span<const std::byte> bytes);

}  // namespace halftone
