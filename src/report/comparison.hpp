#pragma once

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string>
#include <vector>

#include "halftone/report/run_result.hpp"

/// Runs side by side.
namespace halftone::internal {

struct NamedRun {
  std::string name;
  RunResult run;
};

/// What keeps figures of the runs from being compared, a sentence each; empty where nothing does.
std::vector<std::string> obstacles(std::span<const NamedRun> runs);

/// Sites at which the plans differ; nothing where the runs are not of one model.
std::vector<std::size_t> differing_sites(std::span<const NamedRun> runs);

std::string comparison_text(std::span<const NamedRun> runs);
nlohmann::json comparison_json(std::span<const NamedRun> runs);

}  // namespace halftone::internal
