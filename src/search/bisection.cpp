#include "halftone/search/bisection.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "halftone/core/error.hpp"

namespace halftone {
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

/// Lowering some sites of `plan`, safest first, to one precision.
struct Stage {
  const SearchProblem& problem;
  const Plan& plan;
  Ordering order;  ///< the sites that may be lowered, safest first once it `is_ordered`; until then in network order
  Precision target;
  std::optional<Precision> next;  ///< the precision after this one
  bool is_ordered = false;
};

/// Of the `length` safest sites those that make the plan faster together.
Plan lower_prefix(const Stage& stage, std::size_t length) {
  Plan plan = stage.plan;
  std::vector<std::size_t> prefix(stage.order.begin(), stage.order.begin() + static_cast<std::ptrdiff_t>(length));
  std::sort(prefix.begin(), prefix.end());
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

/// Sensitivities behind an ordering may take long: asked for once and only where some sites are to be told from others.
void put_in_order(Stage& stage) {
  if (std::exchange(stage.is_ordered, true)) return;
  Ordering order = stage.problem.order(stage.plan, stage.target, stage.order);
  if (!std::is_permutation(order.begin(), order.end(), stage.order.begin(), stage.order.end()))
    throw Error(Errc::Internal,
                message("search: the ordering at precision ", stage.target, " has ", order.size(),
                        " entries that are not a permutation of the ", stage.order.size(), " sites asked for"));
  stage.order = std::move(order);
}

/// A prefix of the ordering that passes while one site more was seen to fail; nothing when stopped. `whole_first` tries
/// all sites before it bisects.
std::optional<std::size_t> bisect(Stage& stage, bool whole_first, SearchRun& run) {
  std::size_t lo = 0;
  std::size_t hi = stage.order.size() + 1;
  std::size_t length = whole_first ? hi - 1 : hi / 2;
  while (hi - lo > 1) {
    if (length < stage.order.size()) put_in_order(stage);
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

}  // namespace

void Bisection::do_search(const SearchProblem& problem, SearchRun& run) const {
  const auto precisions = problem.precisions;
  Plan plan = Plan::uniform(problem.sites.size(), precisions.front());
  std::vector<bool> settled(plan.size());
  bool first = true;
  for (std::size_t i = 1; i < precisions.size(); ++i) {
    const auto sites = candidates(problem, plan, settled, precisions[i]);
    if (sites.empty()) continue;  // nothing is gained at this precision; the next may be another matter
    const bool last = i + 1 == precisions.size();
    Stage stage{problem, plan, sites, precisions[i], last ? std::nullopt : std::optional(precisions[i + 1])};
    const auto length = bisect(stage, std::exchange(first, false), run);
    if (!length) return;
    for (std::size_t k = *length; k < stage.order.size(); ++k) settled[stage.order[k]] = true;
    plan = lower_prefix(stage, *length);
  }
}

}  // namespace halftone
