#pragma once

#include <string>
#include <vector>

#include "halftone/report/run_result.hpp"
#include "report/document.hpp"

namespace halftone::internal {

/// One decision of a search and where its plan was scored.
struct StoryLine {
  std::size_t step = 0;  ///< index into `RunResult::steps`; their number where it is not there
  bool passed = false;
  std::string text;
};

/// What a search decided, in order: `decisions`, or the steps as they were scored where a run for one target has none.
std::vector<StoryLine> story(const RunResult& run, const std::vector<Decision>& decisions);

/// The results for all targets, side by side; nothing where there is one.
void add_targets(const RunResult& run, Document& document);

/// The searches' stories, a table a target.
void add_search(const RunResult& run, Document& document);

}  // namespace halftone::internal
