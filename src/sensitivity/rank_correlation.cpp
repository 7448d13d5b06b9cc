#include "halftone/sensitivity/rank_correlation.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include "halftone/core/error.hpp"

namespace halftone {

namespace {

/// From 0, less their mean.
std::vector<double> centered_ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return values[i] < values[j]; });
  const double center = (static_cast<double>(values.size()) - 1) / 2;
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double shared = static_cast<double>(begin + end - 1) / 2;
    for (; begin < end; ++begin) ranks[order[begin]] = shared - center;
  }
  return ranks;
}

double product(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

}  // namespace

std::optional<double> rank_correlation(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size())
    throw Error(Errc::InvalidArgument,
                message("rank correlation of ", a.size(), " and ", b.size(), " values: as many of each are needed"));
  for (const auto values : {a, b})
    for (std::size_t i = 0; i < values.size(); ++i)
      if (std::isnan(values[i]))
        throw Error(Errc::NonFinite,
                    message("rank correlation: value ", i, " is NaN, which has no rank: leave it out"));
  const std::vector<double> x = centered_ranks(a);
  const std::vector<double> y = centered_ranks(b);
  const double norm = std::sqrt(product(x, x) * product(y, y));
  if (!(norm > 0)) return std::nullopt;
  return std::clamp(product(x, y) / norm, -1.0, 1.0);
}

}  // namespace halftone
