#pragma once

#include <sstream>
#include <string>

/// The text with every run of blanks as one space: for what may be wrapped anywhere.
inline std::string flat(const std::string& text) {
  std::istringstream words(text);
  std::string word;
  std::string result;
  while (words >> word) result += (result.empty() ? "" : " ") + word;
  return result;
}
