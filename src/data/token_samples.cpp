#include "data/token_samples.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <utility>

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

constexpr std::int64_t kLeastTokens = 3;  // [CLS] and [SEP] twice
constexpr std::int64_t kMostTokens = 1 << 16;

const std::string& vocabulary_of(const std::string& data, const DataOptions& options) {
  if (options.vocabulary.empty())
    throw Error(Errc::InvalidArgument, message("data \"", data, "\" holds texts, and the model has no vocabulary: put ",
                                               "its vocab.txt beside its weights, or give --vocabulary FILE"));
  return options.vocabulary;
}

std::int64_t in_range(const std::string& data, const char* what, std::int64_t value, std::int64_t least) {
  if (value < least || value > kMostTokens)
    throw Error(Errc::InvalidArgument, message("data \"", data, "\": ", what, " is ", value, ": from ", least, " to ",
                                               kMostTokens, " are allowed"));
  return value;
}

}  // namespace

TokenSamples::TokenSamples(std::string data, const DataOptions& options, std::int64_t max_tokens)
    : roles_(roles(data, options.input_names)),
      max_tokens_(
          in_range(data, "max_tokens", options.max_tokens == 0 ? max_tokens : options.max_tokens, kLeastTokens)),
      length_step_(in_range(data, "length_step", options.length_step, 0)),
      word_piece_(vocabulary_of(data, options)) {}

std::vector<TokenSamples::Role> TokenSamples::roles(const std::string& data, const std::vector<std::string>& names) {
  constexpr std::array<std::pair<std::string_view, Role>, 3> kRoles{
      {{"input_ids", Role::Ids}, {"attention_mask", Role::Mask}, {"token_type_ids", Role::Types}}};
  if (names.size() == 1) return {Role::Ids};
  std::vector<Role> found;
  for (const std::string& name : names) {
    const auto* const known =
        std::find_if(kRoles.begin(), kRoles.end(), [&](const auto& r) { return r.first == name; });
    if (known == kRoles.end())
      throw Error(Errc::InvalidArgument,
                  message("data \"", data, "\" holds texts, and the model has an input \"", name, "\": inputs may be ",
                          "input_ids, attention_mask and token_type_ids, or one of any name for the ids"));
    found.push_back(known->second);
  }
  if (found.empty())
    throw Error(Errc::InvalidArgument, message("data \"", data, "\" is for a model without inputs: name at least one"));
  return found;
}

void TokenSamples::add(std::vector<std::int64_t> ids, std::vector<std::int64_t> types) {
  samples_.push_back({std::move(ids), std::move(types)});
}

std::vector<std::int64_t> TokenSamples::lengths() const {
  std::vector<std::int64_t> lengths;
  for (const Sample& sample : samples_) lengths.push_back(std::ssize(sample.ids));
  return lengths;
}

std::int64_t TokenSamples::padded_length(std::span<const std::int64_t> indices) const {
  if (length_step_ == 0) return max_tokens_;
  std::int64_t longest = 0;
  for (const std::int64_t index : indices)
    longest = std::max(longest, std::ssize(samples_[static_cast<std::size_t>(index)].ids));
  return std::min((longest + length_step_ - 1) / length_step_ * length_step_, max_tokens_);
}

/// Writes a sample's tokens to `row`, which holds padding.
void TokenSamples::fill(Role role, const Sample& sample, std::int64_t* row) const {
  switch (role) {
    case Role::Ids:
      std::copy(sample.ids.begin(), sample.ids.end(), row);
      break;
    case Role::Mask:
      std::fill_n(row, sample.ids.size(), 1);
      break;
    case Role::Types:
      std::copy(sample.types.begin(), sample.types.end(), row);
      break;
  }
}

std::vector<at::Tensor> TokenSamples::inputs(std::span<const std::int64_t> indices) const {
  const std::int64_t length = padded_length(indices);
  std::vector<at::Tensor> inputs;
  for (const Role role : roles_) {
    const std::int64_t padding = role == Role::Ids ? word_piece_.pad() : 0;
    inputs.push_back(at::full({std::ssize(indices), length}, padding, at::kLong));
    auto* row = inputs.back().mutable_data_ptr<std::int64_t>();
    for (const std::int64_t index : indices) {
      fill(role, samples_[static_cast<std::size_t>(index)], row);
      row += length;
    }
  }
  return inputs;
}

}  // namespace halftone::internal
