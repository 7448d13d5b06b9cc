#pragma once

#include <optional>

#include "halftone/adjust/finisher.hpp"
#include "quantize/kept_evaluator.hpp"
#include "quantize/setup.hpp"

namespace halftone::internal {

/// Takes `evaluation`, of the target's plan under other ranges or weights, as what the plan scores. One that was missed
/// is met where it passes now; a latency that was missed still is.
void take_evaluation(const Setup& setup, TargetResult& target, const Evaluation& evaluation);

/// Fine-tunes the target's plan and scores it as all plans are, beside the baseline of the network as it was. Gives the
/// network where what the gate judges by got better, and it passes if it passed before; then the target has its
/// figures. Writes record, decision, step and note into `result`, whose calibration stays. Throws `Stopped`.
std::optional<FinishedNetwork> finish_plan(const Setup& setup, KeptEvaluator& evaluator, TargetResult& target,
                                           RunResult& result);

}  // namespace halftone::internal
