#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "halftone/sensitivity/metric.hpp"

namespace halftone::internal {

/// What is not as trained: some sites, each at a precision.
using Change = std::vector<std::pair<std::size_t, Precision>>;

/// Every site alone at every precision, site by site: the rows of a `PairMatrix`.
std::vector<Change> single_changes(const SensitivityInput& input);

/// A number of each row.
using RowFn = std::function<double(std::size_t row)>;

/// A table with the score of each of `rows`, which change one site each, and its standard error where `error` gives it.
SensitivityTable scored_table(const SensitivityInput& input, const std::vector<Change>& rows, const RowFn& score,
                              const RowFn& error = {});

/// A table of all single changes with pairs, from `values` [rows, rows]. A row whose score is not finite becomes 0, and
/// any other pair that is not finite the largest one that is, or 0.
SensitivityTable pair_table(const SensitivityInput& input, const RowFn& score, std::vector<double> values,
                            double scale = 1);

}  // namespace halftone::internal
