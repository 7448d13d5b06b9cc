#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "halftone/core/precision.hpp"

namespace halftone {

/// What one site suffers at each precision: lower is safer. Scores of one table compare with each other, not with
/// another metric's.
struct SensitivityTable {
  std::string metric;
  std::vector<std::map<Precision, double>> scores;  ///< by site; the baseline precision has no entry
  std::int64_t forward_passes = 0;                  ///< over the calibration data
  std::int64_t backward_passes = 0;
  double seconds = 0;
};

void to_json(nlohmann::json& json, const SensitivityTable& table);
void from_json(const nlohmann::json& json, SensitivityTable& table);

}  // namespace halftone
