#include "halftone/search/bisection.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "halftone/core/error.hpp"
#include "search/lowering.hpp"

namespace halftone {
namespace {

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
  std::vector<std::size_t> prefix(stage.order.begin(), stage.order.begin() + static_cast<std::ptrdiff_t>(length));
  std::sort(prefix.begin(), prefix.end());
  return internal::lower_useful(stage.problem, stage.plan, prefix, stage.target);
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
  if (!std::exchange(stage.is_ordered, true))
    stage.order = internal::ordered(stage.problem, stage.plan, stage.target, stage.order);
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

/// Prefixes past the one of `lo` + 1 sites, which was seen to fail, one site more each; nothing when stopped. The
/// longest that passes, or `lo`.
std::optional<std::size_t> probe(const Stage& stage, std::size_t lo, int probes, SearchRun& run) {
  std::size_t longest = lo;
  std::size_t length = lo + 2;
  for (int i = 0; i < probes && length < stage.order.size(); ++i, ++length) {
    const auto passed = run.passes(lower_prefix(stage, length), [&](bool verdict) {
      return message("probe: ", length, " safest of ", stage.order.size(), " sites at ", in_words(stage.target),
                     verdict ? " keep enough after all" : " lose too much");
    });
    if (!passed) return std::nullopt;
    if (*passed) longest = length;
  }
  return longest;
}

}  // namespace

std::size_t Bisection::most_evaluations(std::size_t sites, std::size_t precisions) const {
  std::size_t halvings = 0;
  while ((std::size_t{1} << halvings) < sites + 1) ++halvings;
  return (halvings + static_cast<std::size_t>(probes_)) * (precisions - 1) + 1;
}

void Bisection::do_search(const SearchProblem& problem, SearchRun& run) const {
  const auto precisions = problem.precisions;
  Plan plan = Plan::uniform(problem.sites.size(), precisions.front());
  std::vector<bool> settled(plan.size());
  bool first = true;
  for (std::size_t i = 1; i < precisions.size(); ++i) {
    const auto sites = internal::candidates(problem, plan, settled, precisions[i]);
    if (sites.empty()) continue;  // nothing is gained at this precision; the next may be another matter
    const bool last = i + 1 == precisions.size();
    Stage stage{problem, plan, sites, precisions[i], last ? std::nullopt : std::optional(precisions[i + 1])};
    auto length = bisect(stage, std::exchange(first, false), run);
    if (length && stage.is_ordered) length = probe(stage, *length, probes_, run);
    if (!length) return;
    for (std::size_t k = *length; k < stage.order.size(); ++k) settled[stage.order[k]] = true;
    plan = lower_prefix(stage, *length);
  }
}

}  // namespace halftone
