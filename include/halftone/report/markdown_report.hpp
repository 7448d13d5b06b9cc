#pragma once

#include <string>

#include "halftone/report/run_result.hpp"

namespace halftone {

/// `text_report` in Markdown, with tables: for an issue or a pull request. Names show as they are, whatever is in them.
std::string markdown_report(const RunResult& result);

}  // namespace halftone
