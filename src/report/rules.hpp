#pragma once

#include "halftone/report/run_result.hpp"
#include "report/document.hpp"

namespace halftone::internal {

/// The rules that held and how much they matched; nothing where there were none.
void add_rules(const RunResult& run, Document& document);

}  // namespace halftone::internal
