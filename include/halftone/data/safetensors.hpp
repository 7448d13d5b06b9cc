#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "halftone/core/dtype.hpp"
#include "halftone/core/file.hpp"

namespace halftone {

/// One tensor of a safetensors file; `bytes` are little-endian, row-major and live as long as the file.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::Float32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// A memory-mapped safetensors file. Opening it checks everything: header size, JSON, dtypes, shapes against
/// byte counts, offsets inside the file, no overlap and no gap. Throws `BadFile` naming the file and the tensor.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  [[nodiscard]] const std::vector<SafetensorsEntry>& entries() const { return entries_; }  ///< in file order
  /// The entry of that name; throws `NotFound`, with the names that exist.
  [[nodiscard]] const SafetensorsEntry& at(const std::string& name) const;
  [[nodiscard]] const SafetensorsEntry* find(const std::string& name) const;  ///< null when absent
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }
  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }

 private:
  MappedFile file_;
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// Writes `entries`, in their order, and `metadata`. `path` holds its old content or the whole new one, never a part.
/// Throws `InvalidArgument`, naming the entry, for names that are empty, "__metadata__" or there twice, no UTF-8, and
/// bytes that are not as many as shape and dtype need; and `Io`. Cost: a copy of all bytes in memory.
void write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsEntry> entries,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace halftone
