#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "halftone/core/error.hpp"

namespace halftone {

/// Throws one `InvalidArgument` that lists every violation found by `validate(options)`.
inline void require_valid(std::string_view what, const std::vector<std::string>& violations) {
  if (violations.empty()) return;
  std::string text = message("invalid ", what, ":");
  for (const auto& violation : violations) text += (violations.size() > 1 ? "\n  " : " ") + violation;
  throw Error(Errc::InvalidArgument, text);
}

}  // namespace halftone
