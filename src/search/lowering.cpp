#include "search/lowering.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

/// Whether what a site gains depends on the others.
bool interact(const SearchProblem& problem, const Plan& plan, std::span<const std::size_t> sites, const Plan& lowered) {
  constexpr double kRounding = 1e-9;
  const auto time = [&](const Plan& of) { return problem.latency.estimate(problem.sites, of); };
  const double whole = time(lowered);
  double alone = 0;
  Plan raised = lowered;
  for (const std::size_t site : sites) {
    raised[site] = plan[site];
    alone += problem.latency.gain(problem.sites, lowered, site, plan[site]);
  }
  return std::abs(whole - time(raised) - alone) > kRounding * whole;
}

/// Raises sites of `lowered` back to what they have in `plan` where that costs no time, and lowers them again where
/// that gains some. Neighbours share the cost of converting between precisions, so that sites next to each other in
/// `sites`, in network order, move together too: in a chain no faster choice is left. Cost: an estimate for every such
/// run.
void drop_useless(const SearchProblem& problem, const Plan& plan, std::span<const std::size_t> sites, Plan& lowered) {
  const Plan target = lowered;
  double time = problem.latency.estimate(problem.sites, lowered);
  // Keeps what is faster, or as fast with fewer sites lowered: this ends.
  const auto move = [&](std::span<const std::size_t> run, const Plan& to, bool keep_equal) {
    Plan other = lowered;
    for (const std::size_t site : run) other[site] = to[site];
    if (other == lowered) return false;
    const double other_time = problem.latency.estimate(problem.sites, other);
    if (keep_equal ? other_time > time : other_time >= time) return false;
    lowered = std::move(other);
    time = other_time;
    return true;
  };
  const std::size_t longest = interact(problem, plan, sites, lowered) ? sites.size() : 1;
  bool changed = true;
  while (changed) {
    changed = false;
    for (std::size_t length = 1; length <= longest; ++length)
      for (std::size_t begin = 0; begin + length <= sites.size(); ++begin) {
        const auto run = sites.subspan(begin, length);
        if (move(run, plan, /*keep_equal=*/true) || move(run, target, /*keep_equal=*/false)) changed = true;
      }
  }
}

}  // namespace

Plan lower_useful(const SearchProblem& problem, const Plan& plan, const std::vector<std::size_t>& sites,
                  Precision target) {
  Plan lowered = plan;
  for (const std::size_t site : sites) lowered[site] = target;
  drop_useless(problem, plan, sites, lowered);
  return lowered;
}

std::vector<std::size_t> candidates(const SearchProblem& problem, const Plan& plan, const std::vector<bool>& settled,
                                    Precision target) {
  std::vector<std::size_t> open;
  for (std::size_t site = 0; site < plan.size(); ++site)
    if (!settled[site]) open.push_back(site);
  const Plan lowered = lower_useful(problem, plan, open, target);
  std::erase_if(open, [&](std::size_t site) { return lowered[site] != target || plan[site] == target; });
  return open;
}

Ordering ordered(const SearchProblem& problem, const Plan& plan, Precision target,
                 const std::vector<std::size_t>& sites) {
  Ordering order = problem.order(plan, target, sites);
  if (!std::is_permutation(order.begin(), order.end(), sites.begin(), sites.end()))
    throw Error(Errc::Internal,
                message("search: the ordering at precision ", target, " has ", order.size(),
                        " entries that are not a permutation of the ", sites.size(), " sites asked for"));
  return order;
}

}  // namespace halftone::internal
