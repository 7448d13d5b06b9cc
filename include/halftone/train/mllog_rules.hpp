#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace halftone {

/// What is wrong with a log of one run that `MlLog` or another program wrote, a sentence each with its line from 1;
/// empty where it keeps the rules. Lines without ":::MLLOG" are skipped. The rules:
/// - each line is a JSON object with namespace, time_ms, event_type, key, value and metadata of file and lineno; time
///   does not run backwards; keys in "_start" and "_stop" are INTERVAL_START and INTERVAL_END, others POINT_IN_TIME;
/// - once each: submission_benchmark, _org, _platform, _division, _status, before run_start; init_stop, run_start,
///   run_stop; init_start one or more times, before init_stop; run_start after that; run_stop last but for points, with
///   a status of "success" or "aborted";
/// - epochs and evaluations lie in the run, open and close in turn with one epoch_num, and epochs rise; the last epoch
///   may stay open; eval_accuracy, a number with an epoch_num, comes one or more times.
///
/// Source: MLPerf training rules, logging section; the same rules are in the package mlperf-logging, with those of each
/// benchmark.
std::vector<std::string> mllog_violations(std::string_view log);

}  // namespace halftone
