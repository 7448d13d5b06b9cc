#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "halftone/adjust/record.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/monitor.hpp"
#include "halftone/core/precision.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

struct WeightMethodOptions {
  std::vector<RangeMethod> methods{RangeMethod::Max, RangeMethod::MeanSquaredError};
  /// Share of its damage by which a method must do better than those before it: less is chance.
  double margin = 0.1;
  std::int64_t samples = 256;  ///< drawn from the data by `seed`; all where it has fewer
  std::int64_t batch_size = 16;
  int threads = 1;
  std::uint64_t seed = 0;
  Team* team = nullptr;  ///< ranks that measure together, as in `CalibrateOptions`
};

std::vector<std::string> validate(const WeightMethodOptions& options);

struct ChosenWeights {
  Calibration calibration;
  std::vector<WeightMethodChoice> choices;  ///< one a width, the widest first
  double forward_passes = 0;                ///< over the whole data
};

/// The calibration with weight ranges by the method that damages the network least, of those that are better than the
/// ones before them by more than the margin; chosen for every integer weight width in `precisions` on its own, with all
/// sites at the highest precision that has this width. Input ranges stay.
/// Cost: a forward pass over `samples`, and one more for each width and method. Deterministic for one seed, on any
/// number of threads. Nothing when stopped. Throws as `require_ranges`, and `InvalidArgument` for empty data.
std::optional<ChosenWeights> choose_weight_method(const Model& model, const Calibration& calibration,
                                                  const Dataset& data, const Task& task,
                                                  std::span<const Precision> precisions,
                                                  const WeightMethodOptions& options = {}, const Monitor& monitor = {});

/// `calibrate`, with `choose_weight_method` behind it where the weights' method is `Automatic`. Throws and stops as
/// these do.
std::optional<ChosenWeights> calibrate_and_choose(const Model& model, const Dataset& data, const Task& task,
                                                  std::span<const Precision> precisions, CalibrateOptions options,
                                                  std::uint64_t seed = 0, const Monitor& monitor = {});

}  // namespace halftone
