#pragma once

#include <nlohmann/json_fwd.hpp>

#include <iosfwd>

#include "halftone/sensitivity/sensitivity_file.hpp"

/// How `halftone sense` shows what it measured.
namespace halftone::cli {

/// Scores by site, as many as fit the width, costs, and the metrics' rank correlations.
void print_text(const SensitivityFile& file, std::ostream& out);

/// The file, with `rank_correlations` by precision: a matrix over the metrics, null where a metric tells no sites
/// apart.
nlohmann::json to_json_with_correlations(const SensitivityFile& file);

}  // namespace halftone::cli
