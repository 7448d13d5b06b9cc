#pragma once

#include <vector>

#include "halftone/search/frontier.hpp"
#include "halftone/search/search.hpp"

namespace halftone {

struct WithinLatencyOptions {
  int most_evaluations = 8;  ///< where the problem's limits set none
  FrontierOptions frontier{};
};

std::vector<std::string> validate(const WithinLatencyOptions& options);

struct WithinLatencyResult {
  SearchResult search;     ///< `best` damages least of the plans scored that keep the limit
  bool is_within = false;  ///< else no plan does: `best` is the fastest predicted, unscored
};

/// The plan that damages least, as evaluated, of those predicted to take at most `limit`: the slowest plans of the
/// predicted frontier that keep the limit are scored, all sites at the second precision too where that keeps it. The
/// baseline is the answer where it keeps it. `evaluator` should score in full: its verdicts do not matter. Needs the
/// problem's `predict`. Throws `InvalidArgument` without it.
WithinLatencyResult search_within_latency(const SearchProblem& problem, Evaluator& evaluator, double limit,
                                          const WithinLatencyOptions& options = {});

}  // namespace halftone
