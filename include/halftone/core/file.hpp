#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace halftone {

/// What may be done with mapped memory.
enum class MapAccess {
  Read,
  WritePrivately,  ///< writes go to this process's own copy of the pages, never to the file
};

/// A file mapped into memory for as long as this lives.
class MappedFile {
 public:
  /// Throws `NotFound` or `Io`. An empty file gives an empty span.
  explicit MappedFile(const std::filesystem::path& path, MapAccess access = MapAccess::Read);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The whole of a text file; throws `BadFile` when it is larger than `most` bytes.
std::string read_text(const std::filesystem::path& path, std::size_t most = 256u << 20);

/// Writes under a temporary name beside `path`, flushes to disk and renames: `path` holds the old content or
/// the whole new one, never a part. Throws `Io` and leaves nothing behind when it cannot.
void write_atomically(const std::filesystem::path& path, std::string_view content);

/// Throws `Io` where `path` exists and is no regular file: `write_atomically` would not replace it.
void require_replaceable(const std::filesystem::path& path);

/// Creates `directory` where it does not exist and proves that files can be written there.
void require_writable(const std::filesystem::path& directory);

}  // namespace halftone
