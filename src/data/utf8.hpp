#pragma once

#include <string>
#include <string_view>

namespace halftone::internal {

/// The code points of `text`; U+FFFD for every byte that is no UTF-8.
std::u32string decode_utf8(std::string_view text);

/// Whether all of `text` is UTF-8.
bool is_utf8(std::string_view text);

/// Appends `code` in UTF-8; it is no surrogate and at most U+10FFFF.
void append_utf8(std::string& text, char32_t code);

/// White space of Unicode, control characters not among it.
bool is_blank(char32_t code);

/// A letter or a number of any script.
bool is_letter_or_number(char32_t code);

/// `code` in lower case, where that is one character.
char32_t to_lower(char32_t code);

}  // namespace halftone::internal
