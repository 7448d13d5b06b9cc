#pragma once

#include <string>

#include "core/json_field.hpp"
#include "halftone/report/run_result.hpp"

/// Parts of run.json that hold figures.
namespace halftone::internal {

Evaluation read_evaluation(const JsonField& field, const std::string& task);

/// With the predicted latency beside it.
PlanFigures read_plan_figures(const JsonField& field, const std::string& task);

/// With the turns, where they are written.
Timing read_timing(const JsonField& field);

/// Minimum, median and spread of what stands beside a predicted latency; nothing where none was measured.
std::optional<Timing> read_latency_timing(const JsonField& figures);

EngineTimes read_engine_times(const JsonField& field);

/// The precisions that an object gives, site by site.
Plan read_plan(const JsonField& field, const std::vector<Site>& sites);

/// "8 8 4", a word a site.
Plan read_plan_words(const JsonField& field, std::size_t sites);

}  // namespace halftone::internal
