#include "halftone/search/frontier.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "search/lowering.hpp"

namespace halftone {

std::vector<std::string> validate(const FrontierOptions& options) {
  if (options.most_enumerated >= 1) return {};
  return {message("most_enumerated is 0: at least 1 is needed")};
}

Frontier::Frontier(const FrontierOptions& options) : options_(options) {
  require_valid("frontier options", validate(options));
}

void Frontier::do_search(const SearchProblem& problem, SearchRun& run) const {
  if (!problem.predict)
    throw Error(Errc::InvalidArgument,
                "search frontier: it needs a metric's sensitivities to predict damage by: give a metric, or take "
                "bisection");
  const Plan baseline = Plan::uniform(problem.sites.size(), problem.precisions.front());
  std::vector<std::size_t> all(problem.sites.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const Plan second = internal::lower_useful(problem, baseline, all, problem.precisions[1]);
  const bool gains = second != baseline;
  const std::string who = message("all sites that gain at ", in_words(problem.precisions[1]));
  std::optional<bool> whole = false;
  if (gains)
    whole = run.passes(second,
                       [&](bool passed) { return message(who, passed ? ": enough is kept" : ": too much is lost"); });
  if (!whole || (*whole && problem.precisions.size() == 2)) return;
  const PredictedDamage& damage = problem.predict();
  const auto list = predicted_frontier(problem.sites, problem.precisions, problem.latency, damage, options_);
  std::size_t lo = 0;            // passes
  std::size_t hi = list.size();  // fails
  const double known = damage.damage(second);
  for (std::size_t i = 1; gains && i < list.size(); ++i) {
    if (*whole && list[i].damage <= known) lo = i;  // so do plans that are predicted to damage less
    if (!*whole && list[i].damage >= known) hi = std::min(hi, i);
  }
  while (hi - lo > 1) {
    const std::size_t middle = (lo + hi) / 2;
    const auto passed = run.passes(list[middle].plan, [&](bool verdict) {
      return message("plan ", middle, " of ", list.size() - 1, " on the predicted frontier",
                     verdict ? ": enough is kept" : ": too much is lost");
    });
    if (!passed) return;
    (*passed ? lo : hi) = middle;
  }
  if (lo > 0 && list[lo].latency < run.result().best_latency)
    (void)run.passes(list[lo].plan, [&](bool passed) {
      return message("plan ", lo, " of ", list.size() - 1,
                     " on the predicted frontier, which should lose no more than ", who,
                     passed ? ": enough is kept" : ": too much is lost");
    });
}

}  // namespace halftone
