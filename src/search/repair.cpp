#include "search/repair.hpp"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

/// Lowering a site, or a site and the next, to one precision.
struct Move {
  std::size_t site = 0;
  std::size_t count = 1;
  Precision target;

  auto operator<=>(const Move&) const = default;
};

Plan apply(const Move& move, Plan plan) {
  for (std::size_t i = move.site; i < move.site + move.count; ++i)
    if (move.target < plan[i]) plan[i] = move.target;
  return plan;
}

/// Moves that make `plan` faster, neighbours only where together they gain more than each on its own.
std::vector<std::pair<double, Move>> gainful(const SearchProblem& problem, const Plan& plan) {
  constexpr double kRounding = 1e-9;
  const double time = problem.latency.estimate(problem.sites, plan);
  const auto gain = [&](const Move& move) { return time - problem.latency.estimate(problem.sites, apply(move, plan)); };
  std::vector<std::pair<double, Move>> found;
  for (const Precision target : problem.precisions)
    for (std::size_t site = 0; site < plan.size(); ++site) {
      if (!(target < plan[site])) continue;
      const double alone = gain({site, 1, target});
      if (alone > kRounding * time) found.push_back({alone, {site, 1, target}});
      if (site + 1 == plan.size() || !(target < plan[site + 1])) continue;
      const double next = gain({site + 1, 1, target});
      const double both = gain({site, 2, target});
      if (both > std::max(alone, 0.0) + std::max(next, 0.0) + kRounding * time)
        found.push_back({both, {site, 2, target}});
    }
  return found;
}

double increase(const PredictedDamage& damage, const Plan& plan, const Move& move) {
  Plan lowered = plan;
  double sum = 0;
  for (std::size_t i = move.site; i < move.site + move.count; ++i) {
    if (!(move.target < lowered[i])) continue;
    sum += damage.increase(lowered, i, move.target);
    lowered[i] = move.target;
  }
  return sum;
}

std::string describe(const SearchProblem& problem, const Move& move, bool passed) {
  const std::string& name = problem.sites[move.site].name;
  return message("repair: ", name, move.count > 1 ? " and " + problem.sites[move.site + 1].name : "", " at ",
                 in_words(move.target), passed ? ": kept" : ": loses too much");
}

}  // namespace

void repair(const SearchProblem& problem, SearchRun& run) {
  if (!problem.predict) return;
  Plan plan = run.result().best;
  std::set<Move> tried;
  for (int tries = 0; tries < problem.limits.repairs && !run.is_over(); ++tries) {
    auto moves = gainful(problem, plan);
    std::erase_if(moves, [&](const auto& move) {
      return tried.contains(move.second) || find_step(run.result().steps, apply(move.second, plan)) != nullptr;
    });
    if (moves.empty()) return;
    const PredictedDamage& damage = problem.predict();
    // What takes damage away comes first, largest gain first.
    const auto rank = [&](const std::pair<double, Move>& entry) {
      const double lost = increase(damage, plan, entry.second);
      return std::tuple(lost > 0, lost > 0 ? lost / entry.first : -entry.first, entry.second);
    };
    const Move move = std::min_element(moves.begin(), moves.end(), [&](const auto& a, const auto& b) {
                        return rank(a) < rank(b);
                      })->second;
    tried.insert(move);
    Plan next = apply(move, plan);
    const auto passed = run.passes(next, [&](bool verdict) { return describe(problem, move, verdict); });
    if (!passed) return;
    if (*passed) plan = std::move(next);
  }
}

}  // namespace halftone::internal
