#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "halftone/graph/site.hpp"
#include "halftone/sensitivity/table.hpp"

namespace halftone {

/// Samples that sensitivities come from.
struct SensitivityData {
  std::string name;
  std::string digest;
  std::int64_t samples = 0;

  bool operator==(const SensitivityData&) const = default;
};

/// sensitivity.json: what metrics found of one network, and how.
struct SensitivityFile {
  std::string model;  ///< as given
  std::string model_digest;
  std::vector<std::string> sites;  ///< by name, in the order of the tables
  std::vector<Precision> precisions;
  std::string task;             ///< that gave damage
  SensitivityData calibration;  ///< of ranges
  SensitivityData data;         ///< of sensitivities
  std::string range_input;      ///< range methods
  std::string range_weight;
  std::uint64_t seed = 0;
  std::int64_t batch_size = 1;
  std::vector<SensitivityTable> tables;  ///< by metric
};

void to_json(nlohmann::json& json, const SensitivityFile& file);

/// Throws `NotFound`, or `BadFile` naming the field.
SensitivityFile read_sensitivity_file(const std::filesystem::path& path);

/// The metric's table; where `metric` is empty the only one, or that of `interlayer`. Throws `NotFound`, `path` first,
/// with the metrics that there are.
const SensitivityTable& find_table(const SensitivityFile& file, const std::string& path, const std::string& metric);

/// Throws `InvalidArgument`, `path` first, unless the file is of this model with these sites, and has `precisions`.
void require_fits(const SensitivityFile& file, const std::string& path, const std::string& model_digest,
                  std::span<const Site> sites, std::span<const Precision> precisions);

}  // namespace halftone
