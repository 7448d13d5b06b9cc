#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"

struct z_stream_s;

namespace halftone::internal {

/// A file's bytes one after the other, unpacked where gzip packed it, which its first bytes tell. Throws `NotFound`,
/// `Io` and, naming the file, `BadFile`.
class ByteStream {
 public:
  explicit ByteStream(const std::filesystem::path& path);
  ~ByteStream();
  ByteStream(ByteStream&&) = delete;
  ByteStream& operator=(ByteStream&&) = delete;

  /// Fills `out`; throws where the file ends before.
  void read(std::span<std::byte> out);
  /// Throws where more follows, or gzip's checksum is wrong.
  void expect_end();
  /// No more bytes than these can come out of the file, read or not.
  [[nodiscard]] std::uint64_t most() const;

  template <class... Why>
  [[noreturn]] void fail(Errc code, const Why&... why) const {
    throw Error(code, message("file ", file_.path(), ": ", why...));
  }

 private:
  /// Unpacks into `out` until it is full or the stream ends; gives how many bytes came.
  std::size_t inflate_into(std::span<std::byte> out);

  MappedFile file_;
  std::span<const std::byte> rest_;       ///< not read yet
  std::unique_ptr<z_stream_s> inflater_;  ///< null for a plain file
  bool ended_ = false;                    ///< the packed stream
};

}  // namespace halftone::internal
