#include "halftone/search/greedy.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "halftone/core/error.hpp"
#include "search/lowering.hpp"

namespace halftone {
namespace {

/// Whether all of `sites` can be lowered at once; nothing when stopped.
std::optional<bool> try_all(Plan& plan, const std::vector<std::size_t>& sites, Precision target, SearchRun& run) {
  Plan whole = plan;
  for (const std::size_t site : sites) whole[site] = target;
  const auto passed = run.passes(whole, [&](bool verdict) {
    const std::string who = sites.size() == 1 ? "the only site" : message("all ", sites.size(), " sites");
    return message(who, " at ", in_words(target), verdict ? ": enough is kept" : ": too much is lost, one by one now");
  });
  if (passed == true) plan = std::move(whole);
  return passed;
}

}  // namespace

void Greedy::do_search(const SearchProblem& problem, SearchRun& run) const {
  Plan plan = Plan::uniform(problem.sites.size(), problem.precisions.front());
  std::vector<bool> settled(plan.size());
  bool first = true;
  for (const Precision target : problem.precisions.subspan(1)) {
    const auto sites = internal::candidates(problem, plan, settled, target);
    if (sites.empty()) continue;
    if (std::exchange(first, false)) {
      const auto whole = try_all(plan, sites, target, run);
      if (!whole) return;
      if (*whole) continue;
    }
    const Plan before = plan;
    std::vector<std::size_t> lowered;
    for (const std::size_t site : internal::ordered(problem, plan, target, sites)) {
      Plan next = plan;
      next[site] = target;
      const auto passed = run.passes(next, [&](bool verdict) {
        return message(problem.sites[site].name, " at ", in_words(target), verdict ? ": kept" : ": loses too much");
      });
      if (!passed) return;
      if (*passed) {
        plan = std::move(next);
        lowered.push_back(site);
      } else {
        settled[site] = true;
      }
    }
    // Neighbours that were to share a conversion may have failed.
    std::sort(lowered.begin(), lowered.end());
    const Plan useful = internal::lower_useful(problem, before, lowered, target);
    if (useful == plan) continue;
    const auto passed = run.passes(useful, [&](bool verdict) {
      return message("without sites that cost more time than they gain: ", verdict ? "kept" : "loses too much");
    });
    if (!passed) return;
    if (*passed) plan = useful;
  }
}

}  // namespace halftone
