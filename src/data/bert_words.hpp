#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace halftone::internal {

/// A character of a word and where it stood in the text.
struct Letter {
  char32_t code = 0;
  std::int64_t origin = 0;
};

/// The words of a text, one behind the other.
struct Words {
  std::vector<Letter> letters;
  std::vector<std::size_t> ends;  ///< of every word in `letters`, ascending

  [[nodiscard]] std::span<const Letter> operator[](std::size_t word) const {
    const std::size_t begin = word == 0 ? 0 : ends[word - 1];
    return std::span(letters).subspan(begin, ends[word] - begin);
  }
};

/// BERT's words: cleaned up, split at white space, with ideographs of Chinese and punctuation as words of their own,
/// and where `lower_case` in lower case without accents. `origin` is that of the first character.
Words bert_words(std::u32string_view text, std::int64_t origin, bool lower_case);

}  // namespace halftone::internal
