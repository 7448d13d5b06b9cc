#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "halftone/adjust/record.hpp"
#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/monitor.hpp"
#include "halftone/core/precision.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

struct WeightMethodOptions {
  std::vector<RangeMethod> methods{RangeMethod::Max, RangeMethod::MeanSquaredError};  ///< the first of equals is taken
  std::int64_t samples = 256;  ///< drawn from the data by `seed`; all where it has fewer
  std::int64_t batch_size = 16;
  int threads = 1;
  std::uint64_t seed = 0;
};

std::vector<std::string> validate(const WeightMethodOptions& options);

struct ChosenWeights {
  Calibration calibration;
  std::vector<WeightMethodChoice> choices;  ///< one a width, the widest first
  double forward_passes = 0;                ///< over the whole data
};

/// The calibration with the weight ranges of the method that damages the network least, chosen for every integer weight
/// width in `precisions` on its own: all sites are put at the highest precision with that width. Input ranges stay.
/// Cost: a forward pass over `samples`, and one more for each width and method. Deterministic for one seed, on any
/// number of threads. Nothing when stopped. Throws as `require_ranges`, and `InvalidArgument` for empty data.
std::optional<ChosenWeights> choose_weight_method(const Model& model, const Calibration& calibration,
                                                  const Dataset& data, const Task& task,
                                                  std::span<const Precision> precisions,
                                                  const WeightMethodOptions& options = {}, const Monitor& monitor = {});

}  // namespace halftone
