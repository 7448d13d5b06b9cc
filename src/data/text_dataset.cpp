#include <ATen/ATen.h>

#include <charconv>
#include <cmath>
#include <utility>

#include "data/sample_index.hpp"
#include "data/token_samples.hpp"
#include "data/tsv.hpp"
#include "data/utf8.hpp"
#include "halftone/core/error.hpp"
#include "halftone/data/dataset.hpp"

namespace halftone {
namespace {

constexpr std::int64_t kMaxTokens = 128;

class TextDataset final : public Dataset {
 public:
  TextDataset(std::string name, internal::TokenSamples samples, at::Tensor targets, std::int64_t group)
      : name_(std::move(name)), samples_(std::move(samples)), targets_(std::move(targets)), group_(group) {}

  std::int64_t size() const override { return samples_.size(); }
  Batch get(std::span<const std::int64_t> indices) const override {
    for (const std::int64_t index : indices) internal::require_sample(*this, index);
    const at::Tensor rows = at::tensor(c10::IntArrayRef(indices.data(), indices.size()), at::kLong);
    return {samples_.inputs(indices), targets_.index_select(0, rows)};
  }
  at::Tensor targets() const override { return targets_; }
  std::string name() const override { return name_; }
  std::vector<std::int64_t> lengths() const override { return samples_.lengths(); }
  std::int64_t group() const override { return group_; }

 private:
  std::string name_;
  internal::TokenSamples samples_;
  at::Tensor targets_;
  std::int64_t group_;
};

/// A field that holds a sentence.
std::string sentence(const internal::TsvFile& file, std::size_t row, std::string_view field) {
  if (!internal::is_utf8(field)) file.refuse(row, internal::quoted(field), " is no UTF-8: convert the file");
  return std::string(field);
}

double score(const internal::TsvFile& file, std::size_t row, std::string_view field) {
  double number = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), number);
  if (error != std::errc{} || end != field.data() + field.size() || !std::isfinite(number))
    file.refuse(row, "score ", internal::quoted(field), " is no number");
  return number;
}

}  // namespace

std::unique_ptr<Dataset> open_sentence_pairs(const std::string& path, const DataOptions& options) {
  const std::string name = "sts:" + path;
  internal::TokenSamples samples(name, options, kMaxTokens);
  const internal::TsvFile file("sentence pairs", path, "a pair");
  constexpr std::string_view kNeeded = "\"score\", \"sentence1\" and \"sentence2\"";
  const std::size_t columns[] = {file.column("sentence1", kNeeded), file.column("sentence2", kNeeded)};
  const std::size_t score_column = file.column("score", kNeeded);
  std::vector<double> targets;
  for (std::size_t row = 0; row < file.rows(); ++row) {
    const auto fields = file.fields(row);
    for (const std::size_t column : columns) {
      samples.add(sentence(file, row, fields[column]));
      targets.push_back(score(file, row, fields[score_column]));
    }
  }
  return std::make_unique<TextDataset>(name, std::move(samples), at::tensor(targets, at::kDouble), 2);
}

std::unique_ptr<Dataset> open_sentences(const std::string& path, const DataOptions& options) {
  const std::string name = "text:" + path;
  internal::TokenSamples samples(name, options, kMaxTokens);
  const internal::TsvFile file("sentences", path, "a sentence");
  constexpr std::string_view kNeeded = "\"label\" and \"sentence\"";
  const std::size_t label = file.column("label", kNeeded);
  const std::size_t text = file.column("sentence", kNeeded);
  std::vector<std::int64_t> targets;
  for (std::size_t row = 0; row < file.rows(); ++row) {
    const auto fields = file.fields(row);
    samples.add(sentence(file, row, fields[text]));
    targets.push_back(internal::class_number(file, row, "label", fields[label]));
  }
  return std::make_unique<TextDataset>(name, std::move(samples), at::tensor(targets, at::kLong), 1);
}

}  // namespace halftone
