#pragma once

#include "core/json_field.hpp"
#include "halftone/report/run_result.hpp"

/// What a run was told and what it set up, from run.json into `run`.
namespace halftone::internal {

void read_options(const JsonField& options, RunResult& run);

/// Name, threads and times of the engine; `field` is the whole file.
void read_engine(const JsonField& field, RunResult& run);

void read_ranges(const JsonField& field, RunResult& run);
void read_finishing(const JsonField& field, RunResult& run);

}  // namespace halftone::internal
