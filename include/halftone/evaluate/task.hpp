#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/data/dataset.hpp"
#include "halftone/evaluate/evaluation.hpp"

namespace halftone {

/// How outputs are scored against targets, and how far they are from the clean network's. Const members may be called
/// in parallel.
class Task {
 public:
  virtual ~Task() = default;

  [[nodiscard]] virtual std::string name() const = 0;
  /// The name and, where there are options that results depend on, all of them: it tells records of a journal apart.
  [[nodiscard]] virtual std::string identity() const { return name(); }

  /// Whether what one sample is worth depends on all others, as in a rank correlation: scores are then known once all
  /// samples are, by `score_all`, and no evaluation ends early for them.
  [[nodiscard]] virtual bool scores_together() const { return false; }

  /// Checks once, before any work, that targets fit the network's outputs; throws `InvalidArgument` that says how not.
  /// `outputs` come from the first samples of `data`.
  void check(const std::vector<at::Tensor>& outputs, const Dataset& data) const;

  /// Least and most that one sample can score, where there is such a limit: without one, no evaluation can end early
  /// for its score. Throws `Internal` unless low < high, both finite.
  [[nodiscard]] std::optional<ScoreRange> score_range() const;

  /// How early each sample [n], float64, should be scored, where an evaluation may end early: largest first. Best is
  /// what the sample is expected to fall short of the best possible score under a plan. From the clean network's
  /// outputs.
  [[nodiscard]] at::Tensor fragility(const std::vector<at::Tensor>& clean, const at::Tensor& targets) const;

  /// Score of every sample [n], float64, larger is better, within the range; where `scores_together`, what `score_all`
  /// needs of them [n, d]. Throws `NonFinite` when outputs are NaN or infinite.
  [[nodiscard]] at::Tensor score(const std::vector<at::Tensor>& outputs, const at::Tensor& targets) const;

  /// Scores [N], float64, of all samples: their mean is the score, and their deviations from it are such that
  /// sqrt(sum d^2 / (N (N - 1))) is its standard error, of differences between two networks likewise. `parts` [N, d]
  /// are those that `score` gave, in the order of the data, as are `targets`. Only where `scores_together`.
  [[nodiscard]] at::Tensor score_all(const at::Tensor& parts, const at::Tensor& targets) const;

  /// Divergence of every sample from the clean outputs [n], float64, 0 where equal, never below.
  /// Differentiable in `outputs` where its parts are.
  [[nodiscard]] at::Tensor damage(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean) const;

  /// Differences of outputs, as vectors [n, d], float64, linear in `outputs`, whose inner products say how differences
  /// act together: for small ones damage is half the squared length (at `temperature` 1). Differentiable. Larger
  /// temperatures soften the clean probabilities that the damage is weighed with. Source: docs/methods.md, section 3.6.
  [[nodiscard]] at::Tensor response(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean,
                                    double temperature = 1) const;

 private:
  virtual void do_check(const std::vector<at::Tensor>& outputs, const Dataset& data) const = 0;
  [[nodiscard]] virtual at::Tensor do_score(const std::vector<at::Tensor>& outputs,
                                            const at::Tensor& targets) const = 0;
  [[nodiscard]] virtual at::Tensor do_score_all(const at::Tensor& parts, const at::Tensor& targets) const;
  [[nodiscard]] virtual at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                             const std::vector<at::Tensor>& clean) const = 0;
  /// Nothing by default.
  [[nodiscard]] virtual std::optional<ScoreRange> do_score_range() const { return std::nullopt; }
  /// By default all alike: samples are scored in the order of the data.
  [[nodiscard]] virtual at::Tensor do_fragility(const std::vector<at::Tensor>& clean, const at::Tensor& targets) const;
  /// By default the differences themselves, in units of the clean outputs' root mean square, which fits damage by
  /// squared error; `temperature` has no part in it.
  [[nodiscard]] virtual at::Tensor do_response(const std::vector<at::Tensor>& outputs,
                                               const std::vector<at::Tensor>& clean, double temperature) const;
};

/// Classification by the first output, logits [n, classes]: 1 where the target class is among the `k` largest logits.
/// Damage is KL(softmax(clean) || softmax(outputs)) in nats; its Hessian at the clean outputs is diag(p) - p p^T, and
/// the response of a difference u is sqrt(p) (u - p.u), p softened by the temperature. Fragility is the `k`-th largest
/// of the other logits minus the target's.
std::unique_ptr<Task> make_top_k(std::int64_t k);

/// Similarity of sentences: samples 2i and 2i+1 are a pair, the first output is their embeddings [n, d], targets hold
/// each pair's rating twice. The score is Spearman's correlation of the cosines with the ratings, its error by leaving
/// out one pair at a time. Damage is 1 - cos(output, clean output); the response of a difference is its part across the
/// clean embedding, in units of that one's length. Cost of scoring: quadratic in the number of pairs.
std::unique_ptr<Task> make_sentence_similarity();

enum class SquadScore {
  F1,          ///< "squad": words shared with an answer
  ExactMatch,  ///< "squad_em": the words of an answer
};

/// Questions about a text (halftone/data/squad.hpp). Outputs are logits of the first and of the last token of the
/// answer, two of [n, tokens] or one of [n, tokens, 2]. The prediction is the span of at most 30 tokens of the context
/// with the largest sum of both, the first of equals. Damage is the mean of KL(softmax(clean) || softmax(outputs)) over
/// tokens of starts and of ends, padding among them, in nats. `check` must have seen the data that is scored.
std::unique_ptr<Task> make_squad(SquadScore score = SquadScore::F1);

/// What a task is made of; `score` is needed. All may be called in parallel.
struct TaskFunctions {
  /// Score of every sample [n], of any number type, larger is better.
  std::function<at::Tensor(const std::vector<at::Tensor>& outputs, const at::Tensor& targets)> score;
  /// Divergence of every sample [n] from the clean outputs. By default the squared error of all floating-point outputs
  /// together, in units of the squared length of the clean ones.
  std::function<at::Tensor(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean)> damage{};
  /// Least and most that a sample can score: with it evaluations end as soon as a plan is sure to fail.
  std::optional<ScoreRange> score_range{};
  /// Throws where targets do not fit the outputs.
  std::function<void(const std::vector<at::Tensor>& outputs, const Dataset& data)> check{};
  std::string options{};  ///< that results depend on, as a text: it tells records of a journal apart
};

/// A task from functions. Throws `InvalidArgument` without a name or a score.
std::unique_ptr<Task> make_task(std::string name, TaskFunctions functions);

}  // namespace halftone
