#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "halftone/core/monitor.hpp"
#include "halftone/evaluate/evaluation.hpp"
#include "halftone/latency/latency_model.hpp"
#include "halftone/order/ordering.hpp"
#include "halftone/sensitivity/predicted_damage.hpp"

namespace halftone {

/// When a search ends before its strategy does, and what it tries after that.
struct SearchLimits {
  int most_evaluations = 0;  ///< 0: no limit
  double most_seconds = 0;   ///< since the search began, looked at between evaluations; 0: no limit
  int repairs = 8;           ///< evaluations at most, once the strategy is through; see `SearchStrategy::search`
};

std::vector<std::string> validate(const SearchLimits& limits);

/// One evaluated plan and what the strategy made of it.
struct SearchStep {
  Plan plan;
  Evaluation evaluation;
  double latency = 0;      ///< predicted, by the problem's latency model
  std::string decision{};  ///< e.g. "all 20 sites at 8 bits pass; next: 4 bits"
};

/// What a strategy made of a verdict.
struct Decision {
  std::string plan_digest;
  bool passed = false;
  std::string text;
};

/// What a search works on. Everything is borrowed.
struct SearchProblem {
  std::span<const Site> sites;
  std::span<const Precision> precisions;  ///< from highest (the baseline, which passes) to lowest
  const OrderFn& order;                   ///< may take long when first called
  const LatencyModel& latency;
  /// Predicts the damage of plans; may take long when first called. Where it is empty there is no repair, and
  /// strategies that need it refuse.
  std::function<const PredictedDamage&()> predict{};
  SearchLimits limits{};
  /// Scored earlier, with the verdicts of the gate that now holds: not scored again, and counted by no budget.
  std::span<const SearchStep> known{};
  /// Seconds since some moment, for `limits`; empty: this process's clock.
  std::function<double()> clock{};

  [[nodiscard]] double now() const;
};

enum class SearchStatus {
  Finished,     ///< the strategy ran to its end
  Stopped,      ///< the user asked to stop
  OutOfBudget,  ///< evaluations or seconds are spent
};

const char* to_string(SearchStatus status);

/// Where `plan` was scored; null where it was not.
const SearchStep* find_step(std::span<const SearchStep> steps, const Plan& plan);

/// The best plan is the baseline, or a plan that was itself evaluated and passed.
struct SearchResult {
  SearchStatus status = SearchStatus::Finished;
  Plan best;
  std::optional<Evaluation> best_evaluation;  ///< nothing where the baseline is the best
  double best_latency = 0;
  std::vector<SearchStep> steps;      ///< every evaluation, in order
  std::vector<Decision> decisions{};  ///< on these and on plans known before, in order
};

/// A strategy's way to the evaluator: records every step, remembers the fastest passing plan, never scores a plan
/// twice.
class SearchRun {
 public:
  SearchRun(const SearchProblem& problem, Evaluator& evaluator);

  /// Whether `plan` passes; nothing once the user asked to stop or a budget is spent: the strategy then returns. One
  /// that goes on and on, or asks of scored plans only, meets `Internal`. `decision(passed)` says in words what follows
  /// from either verdict.
  template <class Decision>
  std::optional<bool> passes(const Plan& plan, const Decision& decision) {
    const auto verdict = score(plan);
    if (verdict && is_news_) record(plan, *verdict, decision(*verdict));
    return verdict;
  }

  [[nodiscard]] const SearchResult& result() const { return result_; }
  /// The user asked to stop, elsewhere than in an evaluation.
  void stop() { result_.status = SearchStatus::Stopped; }
  [[nodiscard]] bool is_over() const { return result_.status != SearchStatus::Finished; }

 private:
  std::optional<bool> score(const Plan& plan);
  void record(const Plan& plan, bool passed, std::string decision);
  void consider(const SearchStep& step);
  [[nodiscard]] bool is_spent() const;

  const SearchProblem& problem_;
  Evaluator& evaluator_;
  SearchResult result_;
  double start_;                       ///< by the problem's clock
  int refused_ = 0;                    ///< questions in a row that no evaluation answered
  std::set<const SearchStep*> asked_;  ///< of those known before
  bool is_news_ = false;               ///< whether the last question was the first about its plan
};

/// Finds a fast plan that passes.
class SearchStrategy {
 public:
  virtual ~SearchStrategy() = default;

  [[nodiscard]] virtual std::string name() const = 0;
  /// Evaluations at most, repairs apart; 0 where unknown.
  [[nodiscard]] virtual std::size_t most_evaluations(std::size_t /*sites*/, std::size_t /*precisions*/) const {
    return 0;
  }

  /// Checks the problem, starts from the baseline (all sites at the first precision) and returns the fastest plan that
  /// was evaluated and passed. An evaluator that stops, an ordering that throws `Stopped` and a budget that is spent
  /// end the search with what is known so far. What the strategy found is then repaired, where damage can be predicted:
  /// single sites, or two neighbours together, are lowered further, largest gain per predicted damage first, and stay
  /// so where the plan passes.
  [[nodiscard]] SearchResult search(const SearchProblem& problem, Evaluator& evaluator) const;

 private:
  virtual void do_search(const SearchProblem& problem, SearchRun& run) const = 0;
};

}  // namespace halftone
