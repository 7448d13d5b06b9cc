#pragma once

#include <string>
#include <vector>

#include "halftone/report/run_result.hpp"

namespace halftone::internal {

/// What 8 bits cost activations, and where: the inputs of sites that lose most, in words for text and page.
struct ActivationsReport {
  std::string caption;
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;  ///< worst first, one a tensor; empty where nothing is known
};

ActivationsReport activations_report(const RunResult& run);

}  // namespace halftone::internal
