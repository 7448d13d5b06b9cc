#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace halftone {

struct WordPieceOptions {
  bool lower_case = true;              ///< lower-case the text and strip its accents, as "uncased" vocabularies need
  std::int64_t most_characters = 100;  ///< longer words become [UNK]
};

/// Characters begin to end-1 of a text. They are Unicode code points; every byte that is no UTF-8 counts as one.
struct TextSpan {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool operator==(const TextSpan&) const = default;
};

/// [CLS] first [SEP] second [SEP].
struct EncodedPair {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> types;  ///< of every id: 0 to the first [SEP], 1 behind it
  std::int64_t second = 0;          ///< where the tokens of the second text begin in `ids`
  std::vector<TextSpan> spans;      ///< of the second text's tokens, in that text as it was given
};

/// BERT's tokenizer. Control characters and U+FFFD are dropped, ideographs of Chinese stand alone, letters are
/// lower-cased and lose their accents (NFD without nonspacing marks), punctuation is split off, and every word becomes
/// the longest pieces that the vocabulary holds, from the left; a word that cannot be made of pieces is [UNK]. Special
/// tokens that stand in the text, such as [MASK], are themselves. Bytes that are no UTF-8 are read as U+FFFD, and so
/// dropped. Const members may be called in parallel; copies share the vocabulary.
/// Source: Devlin, Chang, Lee, Toutanova, 2019, BERT; ids equal those of Hugging Face's tokenizers (BertNormalizer,
/// BertPreTokenizer, WordPiece) but for marks and punctuation that newer versions of Unicode added, and ideographs from
/// U+2B820 to U+2B91F, which that takes for letters.
class WordPiece {
 public:
  /// Reads vocab.txt: a token a line, whose number from 0 is its id. Throws `NotFound`, `Io` and, naming the line,
  /// `BadFile` for tokens that are there twice and where [PAD], [UNK], [CLS] or [SEP] is missing.
  explicit WordPiece(const std::filesystem::path& vocabulary, WordPieceOptions options = {});

  /// [CLS] text [SEP], cut to `max_tokens` in all. Throws `InvalidArgument` where that is below 2.
  [[nodiscard]] std::vector<std::int64_t> encode(std::string_view text, std::int64_t max_tokens) const;

  /// Cuts the second text to what `max_tokens` in all leave, and the first only where it does not fit alone. Throws
  /// `InvalidArgument` where that is below 3.
  [[nodiscard]] EncodedPair encode_pair(std::string_view first, std::string_view second, std::int64_t max_tokens) const;

  [[nodiscard]] std::int64_t size() const;  ///< tokens of the vocabulary
  [[nodiscard]] std::int64_t pad() const;   ///< id of [PAD]

 private:
  class Vocabulary;

  std::shared_ptr<const Vocabulary> vocabulary_;
  WordPieceOptions options_;
};

}  // namespace halftone
