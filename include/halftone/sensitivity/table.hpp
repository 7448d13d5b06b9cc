#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "halftone/core/precision.hpp"
#include "halftone/sensitivity/pair_matrix.hpp"

namespace halftone {

/// A score that could not be used as the metric gave it.
struct ClampedScore {
  std::size_t site = 0;
  Precision precision;
  double given = 0;  ///< negative: 0 was taken; not finite: the largest finite score at this precision
};

/// What one site suffers at each precision: lower is safer. Scores of one table compare with each other, not with
/// another metric's.
struct SensitivityTable {
  std::string metric;
  std::vector<std::map<Precision, double>> scores;  ///< by site; the baseline precision has no entry
  /// Standard errors of the scores, where the metric samples; else empty. 0 for scores that were not finite.
  std::vector<std::map<Precision, double>> standard_errors{};
  std::optional<PairMatrix> pairs{};  ///< of metrics that see how sites act together
  std::vector<ClampedScore> clamped{};
  double forward_passes = 0;   ///< over the calibration data; a pass over a part of the network counts by its share of
                               ///< multiply-accumulates
  double backward_passes = 0;  ///< likewise; one through a gradient's own graph counts as two
  double seconds = 0;
};

void to_json(nlohmann::json& json, const SensitivityTable& table);
/// Throws `BadFile` naming the field, also where a score at some precision, a standard error or a pair is missing that
/// others have.
void from_json(const nlohmann::json& json, SensitivityTable& table);

}  // namespace halftone
