#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "halftone/core/plan.hpp"
#include "halftone/evaluate/gate.hpp"
#include "halftone/evaluate/plan_evaluator.hpp"
#include "quantize/memory.hpp"

namespace halftone::internal {

/// An evaluator that knows what earlier runs scored: it runs the network for the first time where a plan is new.
class KeptEvaluator final : public Evaluator {
 public:
  /// `fingerprint` says all that scores depend on but the plan, and `make` makes what scores. Borrows `memory`.
  KeptEvaluator(Memory& memory, std::string fingerprint, std::function<std::unique_ptr<PlanEvaluator>()> make,
                Plan baseline);

  /// Comes first. False when stopped.
  bool measure_baseline();
  [[nodiscard]] const Evaluation& float_score() const { return float_score_; }
  [[nodiscard]] const Evaluation& baseline() const { return baseline_; }

  /// Plans are judged by `gate` from now on.
  void set_gate(const Gate& gate);

  /// Ends early where `make` says so. An evaluation that ended early under another gate counts where it settles this
  /// one too.
  std::optional<Evaluation> evaluate(const Plan& plan) override;
  std::optional<Evaluation> evaluate_fully(const Plan& plan);

  /// What scores, with the baseline measured; null when stopped.
  PlanEvaluator* live();

  /// Over the whole data, those of earlier runs included.
  [[nodiscard]] double forward_passes() const { return passes_; }

 private:
  std::optional<Evaluation> find(const Plan& plan, bool whole);
  std::optional<Evaluation> score(const Plan& plan, bool whole);
  [[nodiscard]] Digest key(const Plan& plan) const;
  void count(const Evaluation& evaluation);

  Memory& memory_;
  std::string fingerprint_;
  std::function<std::unique_ptr<PlanEvaluator>()> make_;
  Plan baseline_plan_;
  std::unique_ptr<PlanEvaluator> live_;
  Gate gate_;
  Evaluation float_score_;
  Evaluation baseline_;
  double passes_ = 0;
};

}  // namespace halftone::internal
