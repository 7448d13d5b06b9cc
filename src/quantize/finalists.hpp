#pragma once

#include <optional>
#include <string>
#include <vector>

#include "halftone/engine/benchmark.hpp"
#include "quantize/kept_evaluator.hpp"
#include "quantize/memory.hpp"
#include "quantize/setup.hpp"

namespace halftone::internal {

/// Plans to time end to end, side by side: the baseline, every uniform plan, and for each target its plan and the next
/// best, up to two. Borrows all.
class Finalists {
 public:
  Finalists(const Setup& setup, const std::vector<TargetResult>& targets, const Evaluation& baseline,
            std::vector<SearchStep>& steps);

  [[nodiscard]] const std::vector<Variant>& variants() const { return variants_; }

  /// Takes what an earlier run measured of the same finalists. Throws `Stopped`.
  void measure(const Calibration& calibration, Memory& memory);

  /// Where latency is measured: the fastest that passes becomes the target's result, and with a latency target the one
  /// that does least damage within it. `notes` get a sentence for each that changed. Throws `Stopped`.
  void choose(TargetResult& target, KeptEvaluator& evaluator, std::vector<std::string>& notes);

  /// Of a plan that was measured.
  [[nodiscard]] const Timing& timing(const Plan& plan) const;
  [[nodiscard]] EngineTimes times(const Plan& plan) const;

 private:
  void add(std::string name, const Plan& plan);
  void add_next_best(const TargetResult& target, const Evaluation& baseline);
  [[nodiscard]] Digest fingerprint(const Calibration& calibration) const;
  void choose_fastest(TargetResult& target, KeptEvaluator& evaluator, std::vector<std::string>& notes);
  /// What the latency target allows, as measured: a change by turns side by side, a time by the fastest pass.
  [[nodiscard]] bool is_within(const Plan& plan) const;
  void choose_within(TargetResult& target, std::vector<std::string>& notes) const;
  /// What is known of `plan`, judged by `gate`; nothing where it was not scored.
  [[nodiscard]] std::optional<Evaluation> find_score(const Plan& plan, const Gate& gate,
                                                     const Evaluation& baseline) const;
  Evaluation score(const Variant& variant, TargetResult& target, KeptEvaluator& evaluator);

  const Setup& setup_;
  std::vector<SearchStep>& steps_;
  std::vector<Variant> variants_;
  Measurement measurement_;
};

}  // namespace halftone::internal
