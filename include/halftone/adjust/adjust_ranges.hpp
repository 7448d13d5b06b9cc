#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/adjust/record.hpp"
#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/monitor.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

class Team;

struct AdjustOptions {
  int steps = 40;
  double learning_rate = 0.001;    ///< of Adam, in the logarithm of every bound: at most about this much a step
  std::int64_t step_samples = 64;  ///< that one step's gradient is of
  int steps_per_check = 5;         ///< damage is measured on the samples held out every so many steps, and at the end
  double held_out = 0.5;           ///< share of the samples that no step sees
  bool inputs = true;              ///< which ranges move
  bool weights = true;
  std::int64_t batch_size = 16;  ///< samples run together; a step takes whole batches
  int threads = 1;               ///< figures do not depend on it
  std::uint64_t seed = 0;        ///< of the split and of the order of samples
  Team* team = nullptr;          ///< ranks that share the passes on samples held out; all else each does by itself
};

std::vector<std::string> validate(const AdjustOptions& options);

struct AdjustedRanges {
  Calibration calibration;  ///< with other ranges at the widths that `plan` uses
  RangeAdjustment record;
};

/// Ranges that make the network under `plan` diverge less from the clean one, by gradient descent from those of
/// `calibration`: weights stay as trained. Gradients go straight through rounding (`fake_quantize_symmetric`,
/// `fake_quantize_affine`); the loss is the task's mean damage, so no labels are needed. What moves is the logarithm of
/// every bound that is not 0: ranges that begin at 0 stay so. A tensor's range at one width is one for all sites that
/// read it. Of the start and the steps that were checked, the one with the least damage on the samples held out is
/// returned, measured as `evaluate` simulates plans: on these samples it is never worse than the start.
///
/// Deterministic for one seed and batch size, on any number of threads. A stop request returns the best so far. Cost in
/// passes over `data`: with S = steps x step_samples / data.size() about S forward and 2 S to 3 S more backward, half a
/// pass a check, and two. Throws as `require_ranges`; `InvalidArgument` for fewer than two samples; `Unsupported`
/// where the task's damage, or the network, has no gradient.
///
/// Source: Esser et al., *Learned Step Size Quantization*, 2020, for the gradients. Other than there, weights are not
/// trained, the step is one in the logarithm, and gradients are not scaled: Adam's steps do not depend on their scale.
AdjustedRanges adjust_ranges(const Model& model, const Calibration& calibration, const Dataset& data, const Task& task,
                             const Plan& plan, const AdjustOptions& options = {}, const Monitor& monitor = {});

}  // namespace halftone
