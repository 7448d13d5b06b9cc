#pragma once

#include "halftone/report/run_result.hpp"
#include "report/document.hpp"

namespace halftone::internal {

/// One row a site; what is not known has no column.
void add_sites(const RunResult& run, Document& document);

}  // namespace halftone::internal
