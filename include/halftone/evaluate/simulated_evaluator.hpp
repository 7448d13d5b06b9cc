#pragma once

#include <memory>
#include <vector>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/monitor.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/evaluate/evaluation.hpp"
#include "halftone/evaluate/gate.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

struct EvaluatorOptions {
  Gate gate{};
  std::int64_t batch_size = 16;
  int threads = 1;
};

std::vector<std::string> validate(const EvaluatorOptions& options);

/// Scores plans by fake quantization in LibTorch, on all of `data`, in a fixed order; the figures are the same for any
/// number of threads. Borrows everything it is given.
class SimulatedEvaluator final : public Evaluator {
 public:
  SimulatedEvaluator(const Model& model, const Calibration& calibration, const Dataset& data, const Task& task,
                     const EvaluatorOptions& options = {}, const Monitor& monitor = {});
  ~SimulatedEvaluator() override;

  /// Runs the float network, then `baseline`; must come before `evaluate`. Two forward passes over the data.
  /// Gives nothing when stopped.
  std::optional<Evaluation> measure_baseline(const Plan& baseline);

  /// The float network's own score; damage 0 by definition. Valid after `measure_baseline`.
  [[nodiscard]] const Evaluation& float_score() const;
  [[nodiscard]] const Evaluation& baseline() const;

  /// One forward pass over the data.
  std::optional<Evaluation> evaluate(const Plan& plan) override;

  [[nodiscard]] std::int64_t forward_passes() const;  ///< over the whole data, so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace halftone
