#pragma once

#include <string>

#include "halftone/report/run_result.hpp"

namespace halftone {

/// report.html: one page that holds run.json and draws from it. It fetches nothing, and names in it show as they are,
/// whatever is in them. Without Vega-Lite in the build (see `html_report_has_plots`) its tables stand for the plots.
std::string html_report(const RunResult& result);

/// Whether this library was built with Vega-Lite.
bool html_report_has_plots();

}  // namespace halftone
