#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/calibrate/histogram.hpp"
#include "halftone/core/monitor.hpp"
#include "halftone/core/precision.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

class Team;

struct CalibrateOptions {
  RangeOptions input{.method = RangeMethod::MeanSquaredError};
  RangeOptions weight{.method = RangeMethod::Max};
  std::int64_t batch_size = 16;
  int threads = 1;
  /// Ranks that observe together, each its share of the batches; all call alike and get the same bytes, those of one
  /// process. Borrowed; null: this process alone.
  Team* team = nullptr;
};

std::vector<std::string> validate(const CalibrateOptions& options);

/// Ranges of every site for every integer width in `precisions`. One forward pass over `data`; gives the same bytes for
/// any number of threads. No sites in the result: it was stopped. Throws `NonFinite` naming the site where a weight or
/// an activation is NaN or infinite, and `InvalidArgument` for empty data, a model without sites, and ids
/// that an embedding does not have.
Calibration calibrate(const Model& model, const Dataset& data, std::span<const Precision> precisions,
                      const CalibrateOptions& options = {}, const Monitor& monitor = {});

/// `calibration` with its weight ranges, at every width that it has, chosen anew. Reads no data. No sites in the
/// result: it was stopped. Throws as `calibrate`, and `InvalidArgument` where `calibration` is not of this model.
Calibration with_weight_ranges(const Model& model, Calibration calibration, const RangeOptions& options,
                               int threads = 1, const Monitor& monitor = {});

}  // namespace halftone
