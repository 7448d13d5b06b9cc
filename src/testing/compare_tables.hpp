#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "halftone/sensitivity/metric.hpp"
#include "testing/violations.hpp"

namespace halftone::internal {

/// Predicted damage that two changes share, in the units of scores: of a change with itself, its score.
double half_pair(const PairMatrix& pairs, std::size_t i, Precision p, std::size_t j, Precision q);

/// The largest magnitude of all.
double largest_pair(const PairMatrix& pairs);

/// One change of the input that results must not depend on.
struct Comparison {
  std::vector<std::size_t> from;  ///< site i of the other table is site from[i] of the first
  double tolerance;               ///< as a share of the largest score at a precision, of the largest pair
  std::string changed;
};

/// Scores must agree, but for what sampling explains, and so must pairs.
void compare_tables(const SensitivityTable& table, const SensitivityTable& other, const Comparison& comparison,
                    const SensitivityInput& input, Violations& violations);

}  // namespace halftone::internal
