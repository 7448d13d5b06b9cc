#pragma once

#include "halftone/calibrate/calibration.hpp"
#include "halftone/evaluate/plan_evaluator.hpp"

namespace halftone {

/// Plans by fake quantization in LibTorch. Borrows both.
std::unique_ptr<PlanRunner> simulate(const Model& model, const Calibration& calibration);

/// Scores plans by fake quantization in LibTorch. Borrows everything it is given.
class SimulatedEvaluator final : public PlanEvaluator {
 public:
  SimulatedEvaluator(const Model& model, const Calibration& calibration, const Dataset& data, const Task& task,
                     const EvaluatorOptions& options = {}, const Monitor& monitor = {})
      : PlanEvaluator(simulate(model, calibration), data, task, options, monitor) {}
};

}  // namespace halftone
