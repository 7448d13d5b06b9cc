#include "halftone/data/split.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <random>
#include <utility>

#include "data/shuffle.hpp"
#include "halftone/core/error.hpp"

namespace halftone {
namespace {

// Shares are whole billionths: integer arithmetic gives the same parts whatever the compiler does with floating point.
constexpr std::int64_t kWhole = 1'000'000'000;

/// The share of every part, and last that of the samples in no part; they sum to kWhole.
std::vector<std::int64_t> shares_of(std::span<const double> fractions) {
  if (fractions.empty()) throw Error(Errc::InvalidArgument, "a split needs at least one fraction, got none");
  std::vector<std::int64_t> shares;
  double sum = 0;
  for (const double fraction : fractions) {
    if (!(fraction > 0) || fraction > 1 + 1e-9)
      throw Error(Errc::InvalidArgument,
                  message("a fraction of ", fraction, " cannot be split off: fractions are above 0 and at most 1"));
    shares.push_back(std::llround(fraction * static_cast<double>(kWhole)));
    sum += fraction;
  }
  if (sum > 1 + 1e-9)
    throw Error(Errc::InvalidArgument, message("the fractions of a split sum to ", sum, ": they may sum to 1 at most"));
  std::int64_t rest = kWhole - std::accumulate(shares.begin(), shares.end(), std::int64_t{0});
  // Thirds round to a little less than the whole; no sample may be lost to that.
  if (std::abs(rest) <= static_cast<std::int64_t>(shares.size()) + 1)
    *std::max_element(shares.begin(), shares.end()) += std::exchange(rest, 0);
  shares.push_back(rest);
  return shares;
}

/// How many of a class's `count` samples every share gets: its exact due rounded down, or up where the dues that
/// earlier classes left open (`owed`, in billionths of a sample) are largest.
std::vector<std::int64_t> counts_of(std::int64_t count, const std::vector<std::int64_t>& shares,
                                    std::vector<std::int64_t>& owed) {
  std::vector<std::int64_t> counts;
  std::vector<std::size_t> open;
  std::int64_t left = count;
  for (std::size_t k = 0; k < shares.size(); ++k) {
    const std::int64_t due = count * shares[k];
    counts.push_back(due / kWhole);
    owed[k] += due % kWhole;
    left -= counts[k];
    if (due % kWhole != 0) open.push_back(k);
  }
  std::stable_sort(open.begin(), open.end(), [&](std::size_t a, std::size_t b) { return owed[a] > owed[b]; });
  for (std::size_t i = 0; i < static_cast<std::size_t>(left); ++i) {
    ++counts[open[i]];
    owed[open[i]] -= kWhole;
  }
  return counts;
}

}  // namespace

std::vector<std::vector<std::int64_t>> stratified_split(std::span<const std::int64_t> labels,
                                                        std::span<const double> fractions, std::uint64_t seed) {
  const auto shares = shares_of(fractions);
  if (labels.empty()) throw Error(Errc::InvalidArgument, "there are no labels to split: give at least one sample");
  if (labels.size() > static_cast<std::size_t>(kWhole))
    throw Error(Errc::InvalidArgument, message(labels.size(), " labels are too many to split: ", kWhole, " at most"));

  std::map<std::int64_t, std::vector<std::int64_t>> classes;
  for (std::size_t i = 0; i < labels.size(); ++i) classes[labels[i]].push_back(static_cast<std::int64_t>(i));

  std::mt19937_64 random(seed);
  std::vector<std::int64_t> owed(shares.size(), 0);
  std::vector<std::vector<std::int64_t>> parts(fractions.size());
  for (auto& [label, members] : classes) {
    internal::shuffle(members, random);
    const auto counts = counts_of(static_cast<std::int64_t>(members.size()), shares, owed);
    auto next = members.begin();
    for (std::size_t k = 0; k < parts.size(); ++k) {
      parts[k].insert(parts[k].end(), next, next + counts[k]);
      next += counts[k];
    }
  }
  for (auto& part : parts) std::sort(part.begin(), part.end());
  return parts;
}

}  // namespace halftone
