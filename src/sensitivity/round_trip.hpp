#pragma once

#include <array>
#include <charconv>
#include <string>

namespace halftone::internal {

/// The shortest text that reads back as the same number.
inline std::string round_trip(double number) {
  constexpr std::size_t kLongest = 32;
  std::array<char, kLongest> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return {text.data(), end};
}

}  // namespace halftone::internal
