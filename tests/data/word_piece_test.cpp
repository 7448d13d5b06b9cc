#include "halftone/data/word_piece.hpp"

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "temp_dir.hpp"
#include "word_piece_golden.hpp"

using namespace halftone;
using Catch::Contains;
using Ids = std::vector<std::int64_t>;

namespace {

constexpr std::int64_t kMost = 1 << 20;

WordPiece word_piece(std::string_view vocabulary, WordPieceOptions options = {}) {
  const TempDir dir;
  return WordPiece(dir.write("vocab.txt", vocabulary), options);
}

/// Without [CLS] and [SEP].
Ids inner(Ids ids) {
  REQUIRE(ids.size() >= 2);
  CHECK(ids.front() == 2);
  CHECK(ids.back() == 3);
  return {ids.begin() + 1, ids.end() - 1};
}

Ids flat(const std::vector<TextSpan>& spans) {
  Ids numbers;
  for (const auto& [begin, end] : spans) numbers.insert(numbers.end(), {begin, end});
  return numbers;
}

const std::string kSmall = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nfox\n##es\nthe\nfo\n##x\n";

}  // namespace

// Golden: word_piece_golden.py, Hugging Face's tokenizers 0.23.3 on a vocabulary of ours.
TEST_CASE("texts of all kinds become the reference's ids, in lower case and as they are") {
  const WordPiece lower = word_piece(golden::kVocabulary);
  const WordPiece cased = word_piece(golden::kVocabulary, {.lower_case = false});
  REQUIRE(golden::kPage.size() == 34);
  for (const auto& [text, lower_ids, cased_ids, spans] : golden::kPage) {
    CAPTURE(text);
    CHECK(inner(lower.encode(text, kMost)) == lower_ids);
    CHECK(inner(cased.encode(text, kMost)) == cased_ids);
    const EncodedPair pair = lower.encode_pair("fox", text, kMost);
    CHECK(flat(pair.spans) == spans);
    CHECK(Ids(pair.ids.begin() + pair.second, pair.ids.end() - 1) == lower_ids);
  }
}

TEST_CASE("a text is cut to the tokens allowed, the special ones among them") {
  const WordPiece tokens = word_piece(kSmall);
  CHECK(tokens.size() == 9);
  CHECK(tokens.pad() == 0);
  CHECK(tokens.encode("the foxes", 5) == Ids{2, 6, 4, 5, 3});
  CHECK(tokens.encode("the foxes", 4) == Ids{2, 6, 4, 3});
  CHECK(tokens.encode("the foxes", 2) == Ids{2, 3});
  const Failure bad = failure([&] { static_cast<void>(tokens.encode("the", 1)); });
  CHECK(bad.code == Errc::InvalidArgument);
  CHECK_THAT(bad.text, Contains("at most 1 tokens") && Contains("alone are 2"));
}

TEST_CASE("of a pair the second text is cut, the first only where it does not fit alone") {
  const WordPiece tokens = word_piece(kSmall);
  const EncodedPair whole = tokens.encode_pair("the", "foxes the", 9);
  CHECK(whole.ids == Ids{2, 6, 3, 4, 5, 6, 3});
  CHECK(whole.types == Ids{0, 0, 0, 1, 1, 1, 1});
  CHECK(whole.second == 3);
  CHECK(whole.spans == std::vector<TextSpan>{{0, 3}, {3, 5}, {6, 9}});
  const EncodedPair cut = tokens.encode_pair("the", "foxes the", 5);
  CHECK(cut.ids == Ids{2, 6, 3, 4, 3});
  CHECK(cut.types == Ids{0, 0, 0, 1, 1});
  CHECK(cut.spans == std::vector<TextSpan>{{0, 3}});
  CHECK(tokens.encode_pair("the foxes", "the", 5).ids == Ids{2, 6, 4, 3, 3});
  CHECK(tokens.encode_pair("the", "the", 3).ids == Ids{2, 3, 3});
  CHECK(failure([&] { static_cast<void>(tokens.encode_pair("", "", 2)); }).code == Errc::InvalidArgument);
}

TEST_CASE("bytes that are no UTF-8 are dropped, and count as a character each") {
  const WordPiece tokens = word_piece(kSmall);
  // A lone byte, a surrogate, too long a form of '/', one cut short, and a code point beyond the last.
  for (const std::string bytes : {"\xff", "\xed\xa0\x80", "\xc0\xaf", "\xe4\xb8", "\xf4\x90\x80\x80"}) {
    CAPTURE(bytes.size());
    const EncodedPair pair = tokens.encode_pair("", "f" + bytes + "ox the" + bytes, 9);
    CHECK(pair.ids == Ids{2, 3, 4, 6, 3});
    const auto more = static_cast<std::int64_t>(bytes.size());
    CHECK(pair.spans == std::vector<TextSpan>{{0, 3 + more}, {4 + more, 7 + more}});
  }
}

TEST_CASE("marks that are put in order keep spans that begin before they end") {
  // U+302F and U+1D165 stay (they are spacing), and NFD puts the one of the lower class first.
  const auto spans = word_piece(kSmall).encode_pair("", "\U0001d165\u302f fox", 9).spans;
  CHECK(spans == std::vector<TextSpan>{{0, 2}, {3, 6}});
}

TEST_CASE("words over the limit of characters are unknown") {
  const WordPiece tokens = word_piece(kSmall, {.most_characters = 4});
  CHECK(tokens.encode("foxe foxes fox", 9) == Ids{2, 1, 1, 4, 3});
  CHECK(word_piece(kSmall, {.most_characters = 5}).encode("foxes", 9) == Ids{2, 4, 5, 3});
}

TEST_CASE("a special token that the vocabulary lacks is a word like others") {
  CHECK(word_piece(kSmall).encode("[MASK][SEP]", 9) == Ids{2, 1, 1, 1, 3, 3});
}

TEST_CASE("vocabularies with carriage returns and without a last line break are read") {
  CHECK(word_piece("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\nfox").encode("fox", 9) == Ids{2, 4, 3});
}

TEST_CASE("a vocabulary that cannot be used is refused") {
  const auto refused = [](const std::string& vocabulary) {
    const Failure bad = failure([&] { word_piece(vocabulary); });
    CHECK(bad.code == Errc::BadFile);
    CHECK_THAT(bad.text, Contains("vocab.txt"));
    return bad.text;
  };
  CHECK_THAT(refused(""), Contains("no token [PAD] among its 0"));
  CHECK_THAT(refused("[PAD]\n[UNK]\n[CLS]\nfox\n"), Contains("no token [SEP] among its 4"));
  CHECK_THAT(refused(kSmall + "fox\n"), Contains("line 10: the token stands on line 5 already"));
  CHECK(failure([] { WordPiece("/nowhere/vocab.txt"); }).code == Errc::NotFound);
}

TEST_CASE("any bytes become ids of the vocabulary, with spans inside the text") {
  const WordPiece tokens = word_piece(golden::kVocabulary);
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (const auto& sample : golden::kPage)
      if (random() % 4 == 0) text += sample.text;
    for (std::uint32_t i = 0; i < 20 && !text.empty(); ++i) text[random() % text.size()] = static_cast<char>(random());
    const EncodedPair pair = tokens.encode_pair("", text, kMost);
    bool inside = true;
    for (const auto id : pair.ids) inside = inside && id >= 0 && id < tokens.size();
    for (const auto& [begin, end] : pair.spans) inside = inside && begin >= 0 && begin < end && end <= std::ssize(text);
    CHECK(inside);
  }
}

TEST_CASE("copies of a tokenizer outlive it and work at once in many threads") {
  std::vector<Ids> results(4);
  {
    std::vector<std::thread> threads;
    const WordPiece tokens = word_piece(kSmall);
    for (auto& result : results) threads.emplace_back([&result, tokens] { result = tokens.encode("the foxes", 9); });
    for (auto& thread : threads) thread.join();
  }
  for (const auto& result : results) CHECK(result == Ids{2, 6, 4, 5, 3});
}
