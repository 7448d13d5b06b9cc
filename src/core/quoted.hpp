#pragma once

#include <string>
#include <string_view>

#include "halftone/core/error.hpp"

namespace halftone::internal {

/// What a message quotes of a file: its beginning, control characters as question marks.
inline std::string quoted(std::string_view text) {
  constexpr std::size_t kMost = 80;
  std::string shown(text.substr(0, kMost));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  return message('"', shown, text.size() > kMost ? "…" : "", '"');
}

}  // namespace halftone::internal
