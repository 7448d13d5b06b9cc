#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

#include "halftone/report/run_result.hpp"
#include "report/document.hpp"

namespace halftone::internal {

class JsonField;

/// [{"rule": {"together": P}, "groups": [["conv1", "conv2"], …]}, …]
nlohmann::json rules_json(const RunResult& run);
/// Reads these back, for the sites that `run` has.
void read_rules(const JsonField& field, RunResult& run);

/// The rules that held and what they matched; nothing where there were none.
void add_rules(const RunResult& run, Document& document);

}  // namespace halftone::internal
