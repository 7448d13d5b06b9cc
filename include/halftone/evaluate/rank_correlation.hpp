#pragma once

#include <optional>
#include <span>
#include <vector>

namespace halftone {

/// Spearman's rank correlation of two lists of equal length, in [-1, 1]; equal values share the mean of their ranks.
/// Nothing where a list has no two different values. Throws `NonFinite` for NaN.
std::optional<double> rank_correlation(std::span<const double> a, std::span<const double> b);

/// For each position the rank correlation of the lists without it; 0 where there is none. Throws likewise. Cost:
/// quadratic in the length.
std::vector<double> rank_correlation_without_each(std::span<const double> a, std::span<const double> b);

}  // namespace halftone
