#include "halftone/data/word_piece.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

#include "data/bert_words.hpp"
#include "data/utf8.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"

namespace halftone {
namespace {

constexpr std::size_t kMostBytes = std::size_t{64} << 20;  // of a vocabulary
constexpr std::string_view kContinuation = "##";

using Ids = std::unordered_map<std::string_view, std::int64_t>;

std::optional<std::int64_t> find(const Ids& ids, std::string_view token) {
  const auto found = ids.find(token);
  return found == ids.end() ? std::nullopt : std::optional(found->second);
}

/// A token that is taken as it is where it stands in a text.
struct SpecialToken {
  std::u32string_view text;
  std::int64_t id = 0;
};

/// Tokens of one text and where they stand in it.
struct Tokens {
  std::vector<std::int64_t> ids;
  std::vector<TextSpan> spans;

  void add(std::int64_t id, TextSpan span) {
    ids.push_back(id);
    spans.push_back(span);
  }
  void cut(std::size_t most) {
    ids.resize(std::min(ids.size(), most));
    spans.resize(ids.size());
  }
};

/// Marks that NFD puts in order may stand before letters that the text has first.
TextSpan span_of(std::span<const internal::Letter> letters) {
  const auto [first, last] = std::minmax_element(letters.begin(), letters.end(),
                                                 [](const auto& a, const auto& b) { return a.origin < b.origin; });
  return {first->origin, last->origin + 1};
}

void require_room(std::int64_t max_tokens, std::int64_t least) {
  if (max_tokens < least)
    throw Error(Errc::InvalidArgument, message("at most ", max_tokens, " tokens are asked for, and the special ones ",
                                               "alone are ", least, ": allow more"));
}

}  // namespace

class WordPiece::Vocabulary {
 public:
  explicit Vocabulary(const std::filesystem::path& path);

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(whole_.size()); }
  [[nodiscard]] Tokens tokenize(std::string_view text, const WordPieceOptions& options) const;

  std::int64_t pad = 0;
  std::int64_t unknown = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;

 private:
  void add(const std::filesystem::path& path, std::string_view token);
  std::int64_t special(const std::filesystem::path& path, std::string_view token, std::u32string_view decoded);
  [[nodiscard]] const SpecialToken* special_at(std::u32string_view text) const;
  void append_words(const internal::Words& words, const WordPieceOptions& options, Tokens& tokens) const;
  [[nodiscard]] bool append_pieces(std::span<const internal::Letter> word, Tokens& tokens) const;

  std::string text_;         ///< of the file, which the keys are parts of
  Ids whole_;                ///< every token
  Ids continued_;            ///< those that go on a word, without their "##"
  std::size_t longest_ = 0;  ///< bytes of the longest token
  std::vector<SpecialToken> special_;
};

WordPiece::Vocabulary::Vocabulary(const std::filesystem::path& path) : text_(read_text(path, kMostBytes)) {
  for (std::string_view rest = text_; !rest.empty();) {
    const auto length = std::min(rest.find('\n'), rest.size());
    std::string_view token = rest.substr(0, length);
    rest.remove_prefix(std::min(length + 1, rest.size()));
    if (token.ends_with('\r')) token.remove_suffix(1);
    add(path, token);
  }
  pad = special(path, "[PAD]", U"[PAD]");
  unknown = special(path, "[UNK]", U"[UNK]");
  begin = special(path, "[CLS]", U"[CLS]");
  end = special(path, "[SEP]", U"[SEP]");
  if (const auto mask = find(whole_, "[MASK]")) special_.push_back({U"[MASK]", *mask});
}

void WordPiece::Vocabulary::add(const std::filesystem::path& path, std::string_view token) {
  const std::int64_t id = size();
  const auto [earlier, is_new] = whole_.emplace(token, id);
  if (!is_new)
    throw Error(Errc::BadFile, message("vocabulary ", path, ", line ", id + 1, ": the token stands on line ",
                                       earlier->second + 1, " already: every token has one id"));
  longest_ = std::max(longest_, token.size());
  if (token.starts_with(kContinuation)) continued_.emplace(token.substr(kContinuation.size()), id);
}

std::int64_t WordPiece::Vocabulary::special(const std::filesystem::path& path, std::string_view token,
                                            std::u32string_view decoded) {
  const auto id = find(whole_, token);
  if (!id)
    throw Error(Errc::BadFile, message("vocabulary ", path, " has no token ", token, " among its ", size(),
                                       ": it must be the vocab.txt of a BERT model, a token a line"));
  special_.push_back({decoded, *id});
  return *id;
}

/// The special token that `text` begins with; null where it begins with none.
const SpecialToken* WordPiece::Vocabulary::special_at(std::u32string_view text) const {
  const auto found = std::find_if(special_.begin(), special_.end(),
                                  [text](const SpecialToken& token) { return text.starts_with(token.text); });
  return found == special_.end() ? nullptr : &*found;
}

Tokens WordPiece::Vocabulary::tokenize(std::string_view text, const WordPieceOptions& options) const {
  const std::u32string decoded = internal::decode_utf8(text);
  const std::u32string_view all = decoded;
  Tokens tokens;
  std::size_t done = 0;  // characters
  const auto append_to = [&](std::size_t at) {
    const auto origin = static_cast<std::int64_t>(done);
    append_words(internal::bert_words(all.substr(done, at - done), origin, options.lower_case), options, tokens);
  };
  for (auto at = all.find(U'['); at != all.npos; at = all.find(U'[', std::max(at + 1, done))) {
    const SpecialToken* const token = special_at(all.substr(at));
    if (token == nullptr) continue;
    append_to(at);
    done = at + token->text.size();
    tokens.add(token->id, {static_cast<std::int64_t>(at), static_cast<std::int64_t>(done)});
  }
  append_to(all.size());
  return tokens;
}

void WordPiece::Vocabulary::append_words(const internal::Words& words, const WordPieceOptions& options,
                                         Tokens& tokens) const {
  for (std::size_t i = 0; i < words.ends.size(); ++i) {
    const auto word = words[i];
    const bool fits = std::ssize(word) <= options.most_characters;
    if (!fits || !append_pieces(word, tokens)) tokens.add(unknown, span_of(word));
  }
}

/// The longest pieces from the left. Appends nothing and returns false where they do not make the word.
bool WordPiece::Vocabulary::append_pieces(std::span<const internal::Letter> word, Tokens& tokens) const {
  std::string bytes;
  std::vector<std::size_t> ends{0};  // of the characters in `bytes`, after the first's begin
  for (const internal::Letter& letter : word) {
    internal::append_utf8(bytes, letter.code);
    ends.push_back(bytes.size());
  }
  const std::size_t before = tokens.ids.size();
  for (std::size_t first = 0; first < word.size();) {
    const Ids& ids = first == 0 ? whole_ : continued_;
    std::size_t last = word.size();
    std::optional<std::int64_t> id;
    for (; last > first; --last) {
      const auto piece = std::string_view(bytes).substr(ends[first], ends[last] - ends[first]);
      if (piece.size() <= longest_ && (id = find(ids, piece))) break;
    }
    if (!id) {
      tokens.cut(before);
      return false;
    }
    tokens.add(*id, span_of(word.subspan(first, last - first)));
    first = last;
  }
  return true;
}

WordPiece::WordPiece(const std::filesystem::path& vocabulary, WordPieceOptions options)
    : vocabulary_(std::make_shared<const Vocabulary>(vocabulary)), options_(options) {}

std::int64_t WordPiece::size() const { return vocabulary_->size(); }

std::int64_t WordPiece::pad() const { return vocabulary_->pad; }

std::vector<std::int64_t> WordPiece::encode(std::string_view text, std::int64_t max_tokens) const {
  require_room(max_tokens, 2);
  Tokens tokens = vocabulary_->tokenize(text, options_);
  tokens.cut(static_cast<std::size_t>(max_tokens - 2));
  std::vector<std::int64_t> ids{vocabulary_->begin};
  ids.insert(ids.end(), tokens.ids.begin(), tokens.ids.end());
  ids.push_back(vocabulary_->end);
  return ids;
}

EncodedPair WordPiece::encode_pair(std::string_view first, std::string_view second, std::int64_t max_tokens) const {
  require_room(max_tokens, 3);
  EncodedPair pair;
  pair.ids = encode(first, max_tokens - 1);
  pair.second = std::ssize(pair.ids);
  Tokens tokens = vocabulary_->tokenize(second, options_);
  tokens.cut(static_cast<std::size_t>(max_tokens - 1 - pair.second));
  pair.ids.insert(pair.ids.end(), tokens.ids.begin(), tokens.ids.end());
  pair.ids.push_back(vocabulary_->end);
  pair.types.assign(pair.ids.size(), 1);
  std::fill_n(pair.types.begin(), pair.second, 0);
  pair.spans = std::move(tokens.spans);
  return pair;
}

}  // namespace halftone
