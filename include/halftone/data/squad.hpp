#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/data/dataset.hpp"

namespace halftone {

/// The texts behind the numbers of a `SquadDataset`. Const members may be called in parallel.
class SquadTexts {
 public:
  virtual ~SquadTexts() = default;

  /// Tells sets of other texts, or of other tokens, apart.
  [[nodiscard]] virtual std::int64_t set() const = 0;
  /// The answers that count as right for a question, one at least. Throws `InvalidArgument` for numbers outside the
  /// set.
  [[nodiscard]] virtual const std::vector<std::string>& answers(std::int64_t question) const = 0;
  /// The part of the context from token `first` to token `last`; empty unless both are tokens of the context and
  /// `first` is not behind `last`. Throws as `answers` does.
  [[nodiscard]] virtual std::string text(std::int64_t question, std::int64_t first, std::int64_t last) const = 0;
};

/// Questions about a text, answered by a part of it.
///
/// Targets [n, 6], int64: the question's number in this set, which a subset keeps; the first and the last token of the
/// first answer, -1 where it was cut off; the first token of the context and the one behind its last; and
/// `SquadTexts::set`. Tokens are positions in the sample. A task compares logits with these numbers, and finds the
/// texts by the first and the last of them.
class SquadDataset : public Dataset {
 public:
  [[nodiscard]] virtual std::shared_ptr<const SquadTexts> texts() const = 0;
};

/// A JSON file in the form of SQuAD v1.1: data > paragraphs > context, qas > question, answers > text, answer_start (in
/// Unicode characters). A sample is [CLS] question [SEP] context [SEP], one a question; a context that does not fit is
/// cut at its end, so what lies behind can not be answered. Other conditions are those of `open_sentence_pairs`; texts
/// are cut to 384 tokens by default. Throws `BadFile`, saying where, for what lacks these fields, is nested deeper, or
/// has an answer that does not stand where it says; `Unsupported` for a question without answers (SQuAD 2.0).
/// Source: Rajpurkar, Zhang, Lopyrev, Liang, 2016, SQuAD: 100,000+ questions for machine comprehension of text.
std::unique_ptr<SquadDataset> open_squad(const std::string& path, const DataOptions& options);

/// How many words a prediction and an answer share, as the harmonic mean of the shares of both, 0 to 1; that of the
/// answer where it is largest. Words are compared in lower case, without ASCII punctuation and without "a", "an",
/// "the". Source: SQuAD's evaluation script, version 1.1; lower case is made character by character.
double squad_f1(std::string_view prediction, std::span<const std::string> answers);

/// Whether a prediction has the same words in the same order as one of the answers; words as in `squad_f1`.
bool exact_match(std::string_view prediction, std::span<const std::string> answers);

}  // namespace halftone
