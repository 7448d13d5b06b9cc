#pragma once

#include "halftone/engine/engine.hpp"
#include "halftone/evaluate/plan_evaluator.hpp"

namespace halftone {

/// Plans as they ship: compiled and run in `engine`, operands of 16 bits and what is no site in `float_type`. The float
/// network runs in the engine too, in float32. `parallel` calls run at a time, one thread each. Borrows model and
/// calibration.
std::unique_ptr<PlanRunner> deploy(const Model& model, const Calibration& calibration,
                                   std::shared_ptr<const Engine> engine, const EvaluatorOptions& options,
                                   FloatType float_type = FloatType::BFloat16);

}  // namespace halftone
