#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "halftone/data/dataset.hpp"
#include "halftone/data/word_piece.hpp"

namespace halftone::internal {

/// Texts as token ids, and the network's inputs made of them. `open_sentence_pairs` says how.
class TokenSamples {
 public:
  /// `data` names the set in messages; `max_tokens` is for options without one. Throws as `open_sentence_pairs` does.
  TokenSamples(std::string data, const DataOptions& options, std::int64_t max_tokens);

  [[nodiscard]] const WordPiece& word_piece() const { return word_piece_; }
  [[nodiscard]] std::int64_t max_tokens() const { return max_tokens_; }

  void add(const std::string& text) { add(word_piece_.encode(text, max_tokens_), {}); }
  /// `types` may be empty where all are 0.
  void add(std::vector<std::int64_t> ids, std::vector<std::int64_t> types);

  [[nodiscard]] std::int64_t size() const { return std::ssize(samples_); }
  [[nodiscard]] const std::vector<std::int64_t>& ids(std::size_t sample) const { return samples_[sample].ids; }
  [[nodiscard]] std::vector<std::int64_t> lengths() const;
  /// [n, tokens] each, in the order of the model's inputs; indices were checked.
  [[nodiscard]] std::vector<at::Tensor> inputs(std::span<const std::int64_t> indices) const;

 private:
  enum class Role { Ids, Mask, Types };
  struct Sample {
    std::vector<std::int64_t> ids;
    std::vector<std::int64_t> types;
  };

  static std::vector<Role> roles(const std::string& data, const std::vector<std::string>& names);
  [[nodiscard]] std::int64_t padded_length(std::span<const std::int64_t> indices) const;
  void fill(Role role, const Sample& sample, std::int64_t* row) const;

  std::vector<Role> roles_;
  std::int64_t max_tokens_;
  std::int64_t length_step_;
  WordPiece word_piece_;
  std::vector<Sample> samples_;
};

}  // namespace halftone::internal
