#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "halftone/core/error.hpp"

namespace halftone::internal {

/// Appends a number as it lies in memory: for processes of one program on machines of one kind.
template <class Number>
void put(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

inline void put_text(std::string& bytes, std::string_view text) {
  put(bytes, static_cast<std::uint64_t>(text.size()));
  bytes += text;
}

/// Reads what `put` wrote, in its order; throws `Internal` where there is no more. Borrows the bytes.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  template <class Number>
  Number number() {
    Number number{};
    std::memcpy(&number, take(sizeof number).data(), sizeof number);
    return number;
  }
  std::string text() { return std::string(take(number<std::uint64_t>())); }
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) throw Error(Errc::Internal, "what a rank sent is cut short");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace halftone::internal
