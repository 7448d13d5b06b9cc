#include "halftone/order/ordering.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

double score_of(const SensitivityTable& table, std::size_t site, Precision target) {
  if (site >= table.scores.size())
    throw Error(Errc::InvalidArgument, message("ordering: site ", site, " is beyond the ", table.scores.size(),
                                               " sites of the sensitivity table \"", table.metric, '"'));
  const auto found = table.scores[site].find(target);
  if (found == table.scores[site].end())
    throw Error(Errc::InvalidArgument, message("ordering: the sensitivity table \"", table.metric,
                                               "\" has no score of site ", site, " at precision ", target));
  if (!std::isfinite(found->second))
    throw Error(Errc::NonFinite, message("ordering: the sensitivity table \"", table.metric, "\" scores site ", site,
                                         " at precision ", target, " with ", found->second));
  return found->second;
}

}  // namespace

OrderFn order_by_score(const SensitivityTable& table) {
  return [&table](const Plan&, Precision target, const std::vector<std::size_t>& sites) {
    std::vector<std::pair<double, std::size_t>> ranked;
    for (const std::size_t site : sites) ranked.emplace_back(score_of(table, site, target), site);
    std::sort(ranked.begin(), ranked.end());
    Ordering ordering;
    for (const auto& [unused, site] : ranked) ordering.push_back(site);
    return ordering;
  };
}

}  // namespace halftone
