#include "data/bert_words.hpp"

#include <algorithm>
#include <array>
#include <utf8proc.h>

#include "data/utf8.hpp"

// Source: Devlin, Chang, Lee, Toutanova, 2019, BERT, tokenization.py (BasicTokenizer). Format characters (Cf) and
// private use (Co) count as control characters, as they do there and in Hugging Face's tokenizers.

namespace halftone::internal {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

bool is_ascii(char32_t c) { return c < 0x80; }

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool is_space(char32_t c) { return c == '\t' || c == '\n' || c == '\r' || is_blank(c); }

bool is_dropped(char32_t c) {
  if (is_ascii(c)) return (c < ' ' && !is_space(c)) || c == 0x7F;
  const auto kind = category(c);
  return c == kReplacement || kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CF ||
         kind == UTF8PROC_CATEGORY_CO;
}

bool is_punctuation(char32_t c) {
  if (is_ascii(c))
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO;
}

/// Whether `c` is in one of Unicode's blocks of Chinese ideographs (not of Hangul, Hiragana or Katakana).
bool is_ideograph(char32_t c) {
  struct Block {
    char32_t first, last;
  };
  static constexpr std::array<Block, 8> kBlocks{{{0x3400, 0x4DBF},
                                                 {0x4E00, 0x9FFF},
                                                 {0xF900, 0xFAFF},
                                                 {0x20000, 0x2A6DF},
                                                 {0x2A700, 0x2B73F},
                                                 {0x2B740, 0x2B81F},
                                                 {0x2B820, 0x2CEAF},
                                                 {0x2F800, 0x2FA1F}}};
  return c >= kBlocks[0].first && std::any_of(kBlocks.begin(), kBlocks.end(),
                                              [c](const Block& block) { return c >= block.first && c <= block.last; });
}

/// Without what is dropped, white space as blanks, and blanks around ideographs.
std::vector<Letter> cleaned(std::u32string_view text, std::int64_t origin) {
  std::vector<Letter> letters;
  letters.reserve(text.size());
  for (const char32_t c : text) {
    if (is_ideograph(c)) {
      for (const char32_t part : {U' ', c, U' '}) letters.push_back({part, origin});
    } else if (!is_dropped(c)) {
      letters.push_back({is_space(c) ? U' ' : c, origin});
    }
    ++origin;
  }
  return letters;
}

/// Appends the canonical decomposition of `letter`.
void append_decomposed(std::vector<Letter>& letters, const Letter& letter) {
  if (is_ascii(letter.code)) return letters.push_back(letter);
  std::array<utf8proc_int32_t, 16> parts{};
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(letter.code), parts.data(), parts.size(),
                                             UTF8PROC_DECOMPOSE, nullptr);
  if (count < 0 || count > std::ssize(parts)) return letters.push_back(letter);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    letters.push_back({static_cast<char32_t>(parts[i]), letter.origin});
}

/// Puts the marks behind every letter in the order of their combining classes.
void order_marks(std::vector<Letter>& letters) {
  const auto rank = [](const Letter& letter) {
    return is_ascii(letter.code) ? 0
                                 : utf8proc_get_property(static_cast<utf8proc_int32_t>(letter.code))->combining_class;
  };
  const auto is_starter = [&](const Letter& letter) { return rank(letter) == 0; };
  for (auto begin = letters.begin(); begin != letters.end();) {
    begin = std::find_if_not(begin, letters.end(), is_starter);
    const auto end = std::find_if(begin, letters.end(), is_starter);
    std::stable_sort(begin, end, [&](const Letter& a, const Letter& b) { return rank(a) < rank(b); });
    begin = end;
  }
}

/// In NFD without nonspacing marks, then in lower case.
std::vector<Letter> folded(const std::vector<Letter>& letters) {
  std::vector<Letter> result;
  result.reserve(letters.size());
  for (const Letter& letter : letters) append_decomposed(result, letter);
  order_marks(result);
  std::erase_if(result, [](const Letter& letter) {
    return !is_ascii(letter.code) && category(letter.code) == UTF8PROC_CATEGORY_MN;
  });
  for (Letter& letter : result) letter.code = to_lower(letter.code);
  return result;
}

}  // namespace

Words bert_words(std::u32string_view text, std::int64_t origin, bool lower_case) {
  std::vector<Letter> letters = cleaned(text, origin);
  if (lower_case) letters = folded(letters);
  Words words;
  words.letters.reserve(letters.size());
  const auto end_word = [&words] {
    const std::size_t begin = words.ends.empty() ? 0 : words.ends.back();
    if (words.letters.size() > begin) words.ends.push_back(words.letters.size());
  };
  for (const Letter& letter : letters) {
    const bool alone = is_punctuation(letter.code);
    if (alone || letter.code == ' ') end_word();
    if (letter.code != ' ') words.letters.push_back(letter);
    if (alone) end_word();
  }
  end_word();
  return words;
}

}  // namespace halftone::internal
