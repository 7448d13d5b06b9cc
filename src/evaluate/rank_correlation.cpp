#include "halftone/evaluate/rank_correlation.hpp"

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

void require_ranks(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size())
    throw Error(Errc::InvalidArgument,
                message("rank correlation of ", a.size(), " and ", b.size(), " values: as many of each are needed"));
  for (const auto values : {a, b})
    for (std::size_t i = 0; i < values.size(); ++i)
      if (std::isnan(values[i]))
        throw Error(Errc::NonFinite,
                    message("rank correlation: value ", i, " is NaN, which has no rank: leave it out"));
}

std::optional<double> correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const double norm = std::sqrt(product(x, x) * product(y, y));
  if (!(norm > 0)) return std::nullopt;
  return std::clamp(product(x, y) / norm, -1.0, 1.0);
}

/// What `ranks` of `values` become without position `left`: later ones move up by one, equal ones by half a place, and
/// their mean by half a place.
void leave_out(std::span<const double> values, const std::vector<double>& ranks, std::size_t left,
               std::vector<double>& result) {
  result.clear();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i == left) continue;
    const double moved = values[i] > values[left] ? 1 : values[i] == values[left] ? 0.5 : 0;
    result.push_back(ranks[i] - moved + 0.5);
  }
}

}  // namespace

std::optional<double> rank_correlation(std::span<const double> a, std::span<const double> b) {
  require_ranks(a, b);
  return correlation(centered_ranks(a), centered_ranks(b));
}

std::vector<double> rank_correlation_without_each(std::span<const double> a, std::span<const double> b) {
  require_ranks(a, b);
  const std::vector<double> x = centered_ranks(a);
  const std::vector<double> y = centered_ranks(b);
  std::vector<double> rest_x;
  std::vector<double> rest_y;
  std::vector<double> result;
  for (std::size_t i = 0; i < a.size(); ++i) {
    leave_out(a, x, i, rest_x);
    leave_out(b, y, i, rest_y);
    result.push_back(correlation(rest_x, rest_y).value_or(0));
  }
  return result;
}

}  // namespace halftone
