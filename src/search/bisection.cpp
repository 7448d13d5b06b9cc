#include "halftone/search/bisection.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

/// Raises sites of `lowered` back to what they have in `plan` as long as that costs no time, and lowers them again
/// where that gains some: neighbours share the cost of converting between precisions.
void drop_useless(const SearchProblem& problem, const Plan& plan, std::span<const std::size_t> sites, Plan& lowered) {
  constexpr int kMostRounds = 10;
  const Plan target = lowered;
  double time = problem.latency.estimate(problem.sites, lowered);
  bool changed = true;
  for (int round = 0; changed && round < kMostRounds; ++round) {
    changed = false;
    for (const std::size_t site : sites) {
      const bool is_lowered = lowered[site] == target[site];
      Plan other = lowered;
      other[site] = is_lowered ? plan[site] : target[site];
      const double other_time = problem.latency.estimate(problem.sites, other);
      if (is_lowered ? other_time > time : other_time >= time) continue;
      lowered = std::move(other);
      time = other_time;
      changed = true;
    }
  }
}

/// Lowering some sites of `plan`, safest first, to one precision.
struct Stage {
  const SearchProblem& problem;
  const Plan& plan;
  const Ordering& order;
  Precision target;
  std::optional<Precision> next;  ///< the precision after this one
};

/// Of the `length` safest sites those that make the plan faster together.
Plan lower_prefix(const Stage& stage, std::size_t length) {
  Plan plan = stage.plan;
  const std::span prefix(stage.order.data(), length);
  for (const std::size_t site : prefix) plan[site] = stage.target;
  drop_useless(stage.problem, stage.plan, prefix, plan);
  return plan;
}

/// What the verdict on the `length` safest sites means, now that prefixes of `lo` pass and of `hi` fail.
std::string describe(const Stage& stage, std::size_t length, bool passed, std::size_t lo, std::size_t hi) {
  const std::size_t sites = stage.order.size();
  const std::string who = sites == 1        ? "the only site"
                          : length == sites ? message("all ", sites, " sites")
                          : length == 1     ? message("the safest of ", sites, " sites")
                                            : message(length, " safest of ", sites, " sites");
  const char* verdict =
      length == 1 ? (passed ? "keeps enough" : "loses too much") : (passed ? "keep enough" : "lose too much");
  const std::string settled = stage.next ? "next, " + in_words(*stage.next) : "done";
  const std::string then = hi - lo > 1    ? message("try ", (lo + hi) / 2)
                           : lo == 0      ? "lower none"
                           : lo == length ? settled
                                          : message("lower ", lo, "; ", settled);
  return message(who, " at ", in_words(stage.target), ' ', verdict, ": ", then);
}

/// A prefix of the ordering that passes while one site more was seen to fail; nothing when stopped. `whole_first` tries
/// all sites before it bisects.
std::optional<std::size_t> bisect(const Stage& stage, bool whole_first, SearchRun& run) {
  std::size_t lo = 0;
  std::size_t hi = stage.order.size() + 1;
  std::size_t length = whole_first ? hi - 1 : hi / 2;
  while (hi - lo > 1) {
    const auto passed = run.passes(lower_prefix(stage, length), [&](bool verdict) {
      return describe(stage, length, verdict, verdict ? length : lo, verdict ? hi : length);
    });
    if (!passed) return std::nullopt;
    (*passed ? lo : hi) = length;
    length = (lo + hi) / 2;
  }
  return lo;
}

/// Sites that make the plan faster at `target`, together, and were not found to lose too much at a precision above it.
std::vector<std::size_t> candidates(const SearchProblem& problem, const Plan& plan, const std::vector<bool>& settled,
                                    Precision target) {
  std::vector<std::size_t> open;
  Plan lowered = plan;
  for (std::size_t site = 0; site < plan.size(); ++site) {
    if (settled[site]) continue;
    open.push_back(site);
    lowered[site] = target;
  }
  drop_useless(problem, plan, open, lowered);
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

}  // namespace

void Bisection::do_search(const SearchProblem& problem, SearchRun& run) const {
  const auto precisions = problem.precisions;
  Plan plan = Plan::uniform(problem.sites.size(), precisions.front());
  std::vector<bool> settled(plan.size());
  bool first = true;
  for (std::size_t i = 1; i < precisions.size(); ++i) {
    const auto sites = candidates(problem, plan, settled, precisions[i]);
    if (sites.empty()) continue;  // nothing is gained at this precision; the next may be another matter
    const Ordering order = ordered(problem, plan, precisions[i], sites);
    const bool last = i + 1 == precisions.size();
    const Stage stage{problem, plan, order, precisions[i], last ? std::nullopt : std::optional(precisions[i + 1])};
    const auto length = bisect(stage, std::exchange(first, false), run);
    if (!length) return;
    for (std::size_t k = *length; k < order.size(); ++k) settled[order[k]] = true;
    Plan lowered = lower_prefix(stage, *length);
    plan = std::move(lowered);
  }
}

}  // namespace halftone
