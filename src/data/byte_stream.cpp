#include "data/byte_stream.hpp"

#include <algorithm>
#include <cstring>
#include <zlib.h>

namespace halftone::internal {
namespace {

constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;  // zlib counts in 32 bits

bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() > 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

}  // namespace

ByteStream::ByteStream(const std::filesystem::path& path) : file_(path), rest_(file_.bytes()) {
  if (!is_gzip(rest_)) return;
  inflater_ = std::make_unique<z_stream_s>();
  constexpr int kGzipOnly = 16;
  if (inflateInit2(inflater_.get(), MAX_WBITS + kGzipOnly) != Z_OK)
    throw Error(Errc::Internal, message("zlib cannot be set up to read ", path));
}

ByteStream::~ByteStream() {
  if (inflater_) inflateEnd(inflater_.get());
}

std::uint64_t ByteStream::most() const {
  constexpr std::uint64_t kMostRatio = 1032;  // of deflate: 258 bytes take two bits at least
  return file_.bytes().size() * (inflater_ ? kMostRatio : 1);
}

std::size_t ByteStream::inflate_into(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size() && !ended_) {
    const std::size_t given = std::min(rest_.size(), kMostAtOnce);
    const std::size_t wanted = std::min(out.size() - done, kMostAtOnce);
    inflater_->next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(rest_.data()));
    inflater_->avail_in = static_cast<uInt>(given);
    inflater_->next_out = reinterpret_cast<Bytef*>(out.data() + done);
    inflater_->avail_out = static_cast<uInt>(wanted);
    const int code = inflate(inflater_.get(), Z_NO_FLUSH);
    rest_ = rest_.subspan(given - inflater_->avail_in);
    done += wanted - inflater_->avail_out;
    ended_ = code == Z_STREAM_END;
    if (code == Z_BUF_ERROR) fail(Errc::BadFile, "it ends inside what gzip packed: it is cut short");
    if (code != Z_OK && !ended_)
      fail(Errc::BadFile, "gzip cannot unpack it (", inflater_->msg == nullptr ? "" : inflater_->msg,
           "): it is damaged");
  }
  return done;
}

void ByteStream::read(std::span<std::byte> out) {
  std::size_t got = std::min(out.size(), rest_.size());
  if (inflater_) {
    got = inflate_into(out);
  } else if (got > 0) {
    std::memcpy(out.data(), rest_.data(), got);
    rest_ = rest_.subspan(got);
  }
  if (got < out.size()) fail(Errc::BadFile, "it ends ", out.size() - got, " bytes too early: it is cut short");
}

void ByteStream::expect_end() {
  std::byte more{};
  const bool goes_on = inflater_ && inflate_into({&more, 1}) > 0;
  if (goes_on || !rest_.empty()) fail(Errc::BadFile, "more follows than its header says: it is damaged");
}

}  // namespace halftone::internal
