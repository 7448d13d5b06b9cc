#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "halftone/search/unit_search.hpp"
#include "halftone/sensitivity/predicted_damage.hpp"
#include "quantize/kept_evaluator.hpp"
#include "quantize/setup.hpp"

namespace halftone::internal {

/// The searches of a run: one for each gate, loosest first, so that what fails a gate fails those after it, and what
/// was scored in full is judged anew. Fills targets and steps as it goes: what is known when it is stopped is in them.
class Targets {
 public:
  /// `sense` measures sensitivities and is called once at most, when they are first needed. Borrows all.
  Targets(const Setup& setup, KeptEvaluator& evaluator, std::function<const SensitivityTable&()> sense,
          std::vector<TargetResult>& targets, std::vector<SearchStep>& steps);

  /// Throws `Stopped` once every target has the best that is known for it.
  void search();

  /// Why not all was searched, in words; empty where it was.
  [[nodiscard]] const std::string& stop_reason() const { return stop_reason_; }

 private:
  void sense();
  void search(TargetResult& target);
  void search_within(TargetResult& target);
  bool start_passes(TargetResult& target);
  void announce() const;
  [[nodiscard]] SearchProblem problem();
  [[nodiscard]] Evaluator& evaluator();
  [[nodiscard]] bool is_spent() const;
  void finish(TargetResult& target, const SearchResult& found);
  void judge_again(const Gate& gate);
  void take_best_known(TargetResult& target) const;
  void say_spent();

  const Setup& setup_;
  KeptEvaluator& evaluator_;
  std::function<const SensitivityTable&()> sense_;
  std::vector<TargetResult>& targets_;
  std::vector<SearchStep>& steps_;
  double start_ = 0;                          ///< by the clock of the setup
  OrderFn ordering_;                          ///< empty until it is asked for
  std::optional<PredictedDamage> predicted_;  ///< likewise
  OrderFn order_;
  std::optional<UnitSearch> units_;             ///< where there are rules
  std::optional<SensitivityTable> unit_table_;  ///< likewise, once it is asked for
  std::string stop_reason_;
  bool stopped_ = false;  ///< on request
};

}  // namespace halftone::internal
