#pragma once

#include <filesystem>
#include <string>

#include "halftone/report/run_result.hpp"

namespace halftone {

/// Reads run.json, called `place` in messages: all that it holds. Ranges are in plan.json and are left empty; stages
/// come in the order of their names. Fields that this version does not know are skipped. Throws `BadFile` naming the
/// field, the value seen and what is allowed.
RunResult parse_run_json(const std::string& text, const std::string& place = "run.json");

/// The same of a file, or of run.json in a directory that a run was written to.
RunResult read_run(const std::filesystem::path& path);

}  // namespace halftone
