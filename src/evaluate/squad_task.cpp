#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/data/squad.hpp"
#include "halftone/evaluate/task.hpp"

namespace halftone {
namespace {

constexpr std::int64_t kLongestAnswer = 30;  // tokens
constexpr std::int64_t kColumns = 6;         // of targets, see SquadDataset

/// Logits [n, tokens] of where an answer starts and where it ends.
std::pair<at::Tensor, at::Tensor> logits(const std::vector<at::Tensor>& outputs) {
  if (outputs.size() >= 2) return {outputs[0].to(at::kDouble), outputs[1].to(at::kDouble)};
  const at::Tensor both = outputs[0].to(at::kDouble);
  return {both.select(2, 0), both.select(2, 1)};
}

bool fits(const std::vector<at::Tensor>& outputs) {
  if (outputs.size() == 1) return outputs[0].dim() == 3 && outputs[0].size(2) == 2;
  return outputs[0].dim() == 2 && outputs[1].sizes() == outputs[0].sizes();
}

struct TokenSpan {
  std::int64_t first = 0;
  std::int64_t last = -1;  ///< before `first` where there is none
};

/// Of largest start + end among the spans from `begin` to `end` - 1; the first of equals.
TokenSpan best_span(const double* start, const double* stop, std::int64_t begin, std::int64_t end) {
  TokenSpan best{begin, begin - 1};
  double most = -std::numeric_limits<double>::infinity();
  for (std::int64_t first = begin; first < end; ++first)
    for (std::int64_t last = first; last < std::min(end, first + kLongestAnswer); ++last)
      if (const double sum = start[first] + stop[last]; sum > most) {
        most = sum;
        best = {first, last};
      }
  return best;
}

class Squad final : public Task {
 public:
  explicit Squad(SquadScore score) : score_(score) {}

  [[nodiscard]] std::string name() const override { return score_ == SquadScore::F1 ? "squad" : "squad_em"; }

 private:
  void do_check(const std::vector<at::Tensor>& outputs, const Dataset& data) const override {
    const auto* questions = dynamic_cast<const SquadDataset*>(&data.whole());
    if (questions == nullptr)
      throw Error(Errc::InvalidArgument,
                  message(name(), ": ", data.name(), " has no questions to answer: squad:FILE.json is needed"));
    if (!fits(outputs)) {
      std::string shapes;
      for (const at::Tensor& output : outputs) shapes += message(shapes.empty() ? "" : " and ", output.sizes());
      throw Error(Errc::InvalidArgument,
                  message(name(), ": the network's outputs are ", shapes,
                          ": logits of starts and of ends are needed, each [samples, tokens], or one [samples, tokens, "
                          "2] of both"));
    }
    const std::lock_guard lock(mutex_);
    const auto texts = questions->texts();
    texts_[texts->set()] = texts;
  }

  [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>& outputs, const at::Tensor& targets) const override {
    const auto [starts, ends] = logits(outputs);
    const at::Tensor start = starts.cpu().contiguous();
    const at::Tensor end = ends.cpu().contiguous();
    const at::Tensor numbers = targets.to(at::kCPU, at::kLong).contiguous();
    const std::int64_t tokens = start.size(1);
    at::Tensor scores = at::zeros({start.size(0)}, at::kDouble);
    for (std::int64_t i = 0; i < start.size(0); ++i) {
      const auto* row = numbers.const_data_ptr<std::int64_t>() + i * kColumns;
      const std::int64_t behind = std::min(row[4], tokens);
      const TokenSpan span = best_span(start.const_data_ptr<double>() + i * tokens,
                                       end.const_data_ptr<double>() + i * tokens, row[3], behind);
      scores.mutable_data_ptr<double>()[i] = score(row[5], row[0], span);
    }
    return scores;
  }

  [[nodiscard]] double score(std::int64_t set, std::int64_t question, const TokenSpan& span) const {
    const std::shared_ptr<const SquadTexts> texts = find(set);
    const std::string answer = texts->text(question, span.first, span.last);
    if (score_ == SquadScore::F1) return squad_f1(answer, texts->answers(question));
    return exact_match(answer, texts->answers(question)) ? 1 : 0;
  }

  [[nodiscard]] std::shared_ptr<const SquadTexts> find(std::int64_t set) const {
    const std::lock_guard lock(mutex_);
    const auto found = texts_.find(set);
    if (found == texts_.end())
      throw Error(Errc::InvalidArgument, message("task ", name(),
                                                 ": scores are asked for of questions that it does "
                                                 "not know: call check with their data first"));
    return found->second;
  }

  [[nodiscard]] std::optional<ScoreRange> do_score_range() const override { return ScoreRange{0, 1}; }

  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                     const std::vector<at::Tensor>& clean) const override {
    const auto [p_start, p_end] = logits(clean);
    const auto [q_start, q_end] = logits(outputs);
    const auto divergence = [](const at::Tensor& clean_logits, const at::Tensor& other) {
      const at::Tensor p = clean_logits.log_softmax(1);
      return (p.exp() * (p - other.log_softmax(1))).sum(1);
    };
    const at::Tensor mean = (divergence(p_start, q_start) + divergence(p_end, q_end)) / 2;
    // Rounding may give less than 0. A clamp would have half a derivative or none at 0, where Hessians are taken.
    return at::where(mean.lt(0), at::zeros_like(mean), mean);
  }

  [[nodiscard]] at::Tensor do_response(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean,
                                       double temperature) const override {
    const auto [p_start, p_end] = logits(clean);
    const auto [q_start, q_end] = logits(outputs);
    const auto weighed = [&](const at::Tensor& clean_logits, const at::Tensor& other) {
      const at::Tensor p = (clean_logits / temperature).softmax(1);
      const at::Tensor u = other - clean_logits;
      return p.sqrt() * (u - (p * u).sum(1, /*keepdim=*/true));
    };
    return at::cat({weighed(p_start, q_start), weighed(p_end, q_end)}, 1) / std::sqrt(2.0);
  }

  SquadScore score_;
  mutable std::mutex mutex_;
  mutable std::map<std::int64_t, std::shared_ptr<const SquadTexts>> texts_;  ///< of data that was checked, by set
};

}  // namespace

std::unique_ptr<Task> make_squad(SquadScore score) { return std::make_unique<Squad>(score); }

}  // namespace halftone
