#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace halftone {

/// Fingerprint of a sequence of values (XXH3, 128 bits). Not cryptographic: it tells inputs apart, it does not
/// defend against forgery.
class Digest {
 public:
  Digest();
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  /// Adds raw bytes, without their length.
  Digest& add_bytes(std::span<const std::byte> bytes);
  /// Adds a length and the characters, so that ("ab", "c") differs from ("a", "bc").
  Digest& add(std::string_view text);
  Digest& add(std::int64_t number);

  /// 32 hexadecimal digits of all that was added so far.
  [[nodiscard]] std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace halftone
