#include "data/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utf8proc.h>

namespace halftone::internal {
namespace {

/// The first code point of `text`, which is not empty, and its bytes; no bytes where these are no UTF-8.
struct First {
  explicit First(std::string_view text) {
    const auto* const data = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    bytes = *data < 0x80 ? 1 : std::max<utf8proc_ssize_t>(0, utf8proc_iterate(data, std::ssize(text), &code));
    if (*data < 0x80) code = *data;
  }
  utf8proc_int32_t code = 0;
  std::ptrdiff_t bytes = 0;
};

utf8proc_category_t category(char32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)); }

}  // namespace

std::u32string decode_utf8(std::string_view text) {
  constexpr char32_t kReplacement = 0xFFFD;
  std::u32string decoded;
  decoded.reserve(text.size());
  while (!text.empty()) {
    const First first(text);
    decoded.push_back(first.bytes == 0 ? kReplacement : static_cast<char32_t>(first.code));
    text.remove_prefix(static_cast<std::size_t>(std::max<std::ptrdiff_t>(first.bytes, 1)));
  }
  return decoded;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const First first(text);
    if (first.bytes == 0) return false;
    text.remove_prefix(static_cast<std::size_t>(first.bytes));
  }
  return true;
}

void append_utf8(std::string& text, char32_t code) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(count));
}

bool is_blank(char32_t code) {
  if (code < 0x80) return code == ' ';
  const auto kind = category(code);
  return kind == UTF8PROC_CATEGORY_ZS || kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP;
}

bool is_letter_or_number(char32_t code) {
  const auto kind = category(code);
  const bool letter = kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
  return letter || (kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO);
}

char32_t to_lower(char32_t code) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

}  // namespace halftone::internal
