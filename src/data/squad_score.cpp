#include <algorithm>
#include <map>

#include "data/utf8.hpp"
#include "halftone/data/squad.hpp"

namespace halftone {
namespace {

using Words = std::vector<std::u32string>;

bool is_ascii_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/// What Python's str.split splits at.
bool is_space(char32_t c) {
  return internal::is_blank(c) || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F) || c == 0x85;
}

bool is_article(std::u32string_view word) { return word == U"a" || word == U"an" || word == U"the"; }

/// In lower case, without punctuation, articles as a blank. An article is what letters and numbers do not touch, so
/// "a–b" has one.
std::u32string normalized(std::string_view text) {
  std::u32string letters;
  for (const char32_t c : internal::decode_utf8(text))
    if (!is_ascii_punctuation(c)) letters.push_back(internal::to_lower(c));
  std::u32string result;
  for (auto begin = letters.begin(); begin != letters.end();) {
    auto end = std::find_if_not(begin, letters.end(), internal::is_letter_or_number);
    const std::u32string_view word(letters.data() + (begin - letters.begin()), static_cast<std::size_t>(end - begin));
    result += is_article(word) ? U" " : word;
    if (end != letters.end()) result.push_back(*end++);
    begin = end;
  }
  return result;
}

Words words(std::string_view text) {
  const std::u32string letters = normalized(text);
  Words words;
  for (auto begin = letters.begin(); begin != letters.end();) {
    const auto end = std::find_if(begin, letters.end(), is_space);
    if (end != begin) words.emplace_back(begin, end);
    begin = std::find_if_not(end, letters.end(), is_space);
  }
  return words;
}

double f1(const Words& prediction, const Words& answer) {
  std::map<std::u32string, std::int64_t> left;
  for (const auto& word : answer) ++left[word];
  const auto shared =
      std::count_if(prediction.begin(), prediction.end(), [&](const auto& word) { return left[word]-- > 0; });
  return shared == 0 ? 0 : 2 * static_cast<double>(shared) / static_cast<double>(prediction.size() + answer.size());
}

}  // namespace

double squad_f1(std::string_view prediction, std::span<const std::string> answers) {
  const Words predicted = words(prediction);
  double best = 0;
  for (const std::string& answer : answers) best = std::max(best, f1(predicted, words(answer)));
  return best;
}

bool exact_match(std::string_view prediction, std::span<const std::string> answers) {
  const Words predicted = words(prediction);
  return std::any_of(answers.begin(), answers.end(), [&](const auto& answer) { return words(answer) == predicted; });
}

}  // namespace halftone
