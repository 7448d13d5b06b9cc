#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/precision.hpp"

namespace halftone {

/// What adjusting the ranges of one plan brought.
struct RangeAdjustment {
  struct Check {
    int step = 0;
    double training = 0;  ///< mean damage at the steps since the last check, on their samples, before each step
    double held_out = 0;
  };

  std::string plan;           ///< for people: "all 20 sites at 4 bits"; may be empty
  double damage_before = 0;   ///< on the samples held out
  double damage_after = 0;    ///< on the same; never above `damage_before`
  std::int64_t held_out = 0;  ///< samples that decided
  std::int64_t trained_on = 0;
  std::size_t bounds = 0;  ///< numbers that could move
  int steps = 0;           ///< taken
  int step_kept = 0;       ///< 0: the start, nothing was changed
  std::vector<Check> checks;
  double forward_passes = 0;  ///< over the whole data
  double backward_passes = 0;
  double seconds = 0;
  bool stopped = false;  ///< on request; damages are 0 where it was before they were known
};

/// What fine-tuning the weights and the ranges of a plan brought.
struct FinishRecord {
  RangeAdjustment descent;     ///< in weights too; what it calls damage has the labels' share in it
  std::int64_t tensors = 0;    ///< weights and biases that could move
  std::int64_t values = 0;     ///< numbers in them
  double label_share = 0;      ///< of the loss that is cross entropy with the labels
  std::string model_digest{};  ///< of the network with its new tensors; empty where the start was best
  bool kept = false;           ///< whether a run took it as its result
};

/// How the ranges of weights were chosen at one width, and what else was tried.
struct WeightMethodChoice {
  struct Trial {
    RangeMethod method = RangeMethod::Max;
    double damage = 0;
  };

  int bits = 8;
  Precision precision = k8;  ///< of all sites when damage was measured
  RangeMethod chosen = RangeMethod::Max;
  std::vector<Trial> trials;
  std::int64_t samples = 0;  ///< that damage was measured on
};

}  // namespace halftone
