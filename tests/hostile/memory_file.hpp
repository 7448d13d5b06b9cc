#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "hostile/readers.hpp"

namespace hostile {

/// A file in memory, under a path, for readers that take one.
class MemoryFile {
 public:
  explicit MemoryFile(Bytes content) : file_(::memfd_create("hostile", MFD_CLOEXEC)) {
    if (file_ < 0) throw std::runtime_error("no file in memory can be made");
    while (!content.empty()) {
      const ssize_t written = ::write(file_, content.data(), content.size());
      if (written < 0) throw std::runtime_error("a file in memory cannot be written");
      content = content.subspan(static_cast<std::size_t>(written));
    }
  }
  ~MemoryFile() { ::close(file_); }
  MemoryFile(MemoryFile&&) = delete;
  MemoryFile& operator=(MemoryFile&&) = delete;

  [[nodiscard]] std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

inline std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace hostile
