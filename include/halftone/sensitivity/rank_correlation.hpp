#pragma once

#include <optional>
#include <span>

namespace halftone {

/// Spearman's rank correlation of two lists of equal length, in [-1, 1]; equal values share the mean of their ranks.
/// Nothing where a list has no two different values. Throws `NonFinite` for NaN.
std::optional<double> rank_correlation(std::span<const double> a, std::span<const double> b);

}  // namespace halftone
