#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace halftone {

// Learning rates as functions of the step. Steps count from 1, the first update: a warm-up's first step is not lost.
// Each throws `InvalidArgument` for options that `validate` finds fault with, and for a step below 1.

/// Up in a straight line from 0 to `base`, down to `end` as a power of what is left. The defaults are ResNet-50's at a
/// batch of 32,768 with LARS. Source: Kumar et al., *Scale MLPerf-0.6 models on Google TPU-v3 Pods*, 2019.
struct PolynomialSchedule {
  double base = 31.2;              ///< rate at the end of the warm-up
  double end = 1e-4;               ///< rate at the last step and after it
  double power = 2;                ///< 1 is a straight line
  std::int64_t warm_up_steps = 0;  ///< ResNet-50: 25 epochs' of about 72
  std::int64_t steps = 0;          ///< of the whole training, warm-up included
};

std::vector<std::string> validate(const PolynomialSchedule& schedule);
/// step <= warm-up: base step / warm-up; later end + (base - end) (1 - (step - warm-up) / (steps - warm-up))^power.
double rate_at(const PolynomialSchedule& schedule, std::int64_t step);

/// The Transformer's. Source: Vaswani et al., *Attention Is All You Need*, 2017, equation 3, with a constant before it.
struct InverseRootSchedule {
  double constant = 1.3;
  std::int64_t hidden_size = 1024;
  std::int64_t warm_up_steps = 550;
};

std::vector<std::string> validate(const InverseRootSchedule& schedule);
/// constant hidden_size^-1/2 min(step^-1/2, step warm-up^-3/2).
double rate_at(const InverseRootSchedule& schedule, std::int64_t step);

/// Falls by a factor after each of some steps.
struct StepSchedule {
  double base = 0.1;
  double factor = 0.1;
  std::vector<std::int64_t> boundaries;  ///< last steps of their rates, rising
  std::int64_t warm_up_steps = 0;        ///< straight up from 0, as above
};

std::vector<std::string> validate(const StepSchedule& schedule);
/// base factor^(boundaries before this step), times step / warm-up during the warm-up.
double rate_at(const StepSchedule& schedule, std::int64_t step);

}  // namespace halftone
