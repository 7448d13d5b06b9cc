#pragma once

#include <nlohmann/json_fwd.hpp>

#include "halftone/report/run_result.hpp"

namespace halftone::internal {

class JsonField;

/// [{"rule": {"together": P}, "groups": [["conv1", "conv2"], …]}, …]
nlohmann::json rules_json(const RunResult& run);
/// Reads these back, for the sites that `run` has.
void read_rules(const JsonField& field, RunResult& run);

}  // namespace halftone::internal
