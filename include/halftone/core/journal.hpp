#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace halftone {

/// Finished work that survives a kill: an append-only file of records, each a key and bytes with their lengths and a
/// checksum, on disk before `append` returns. What a kill cut short at the end of the file is dropped when it is opened
/// again. One process at a time. Members may be called in parallel.
class Journal {
 public:
  /// Opens or creates `path` and takes its lock. Throws `Io` where another process has it, or where it cannot be
  /// written, and `BadFile` for a file that is no journal, which is left alone.
  explicit Journal(const std::filesystem::path& path);
  /// One in memory that begins with the records of another, as its `bytes` gave them.
  [[nodiscard]] static std::unique_ptr<Journal> in_memory(std::string_view bytes);
  ~Journal();
  Journal(Journal&&) = delete;
  Journal& operator=(Journal&&) = delete;

  /// The bytes last appended under `key`.
  [[nodiscard]] std::optional<std::string> find(const std::string& key) const;

  /// Throws `Io` where the file cannot take them; it then ends where it did before.
  void append(const std::string& key, std::string_view bytes);

  [[nodiscard]] std::size_t records() const;  ///< with different keys
  /// All of them, for `in_memory`.
  [[nodiscard]] std::string bytes() const;

  /// Takes the file away: what it was kept for is done. Nothing may be appended afterwards.
  void remove();

 private:
  Journal() = default;

  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };

  void open_and_lock();
  void read_records();

  std::filesystem::path path_;
  int file_ = -1;
  mutable std::mutex mutex_;
  std::uint64_t end_ = 0;  ///< of the last whole record
  std::map<std::string, Place> places_;
};

}  // namespace halftone
