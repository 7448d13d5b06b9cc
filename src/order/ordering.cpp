#include "halftone/order/ordering.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <tuple>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"

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

/// Where a site stands: lower comes earlier, the site itself settles ties.
using Rank = std::tuple<int, double, std::size_t>;

/// What costs nothing comes first, what gains nothing last.
Rank rank(double damage, double gain, std::size_t site) {
  if (!(gain > 0)) return {2, damage, site};
  if (!(damage > 0)) return {0, -gain, site};
  return {1, damage / gain, site};
}

void require_within(const Plan& plan, const std::vector<std::size_t>& candidates) {
  for (const std::size_t site : candidates)
    if (site >= plan.size())
      throw Error(Errc::InvalidArgument,
                  message("ordering: site ", site, " is beyond the ", plan.size(), " sites of the plan"));
}

/// What each of `candidates` gains at `target`, by their position, without differences that are only rounding.
std::vector<double> gains(std::span<const Site> sites, const LatencyModel& latency, const Plan& plan, Precision target,
                          const std::vector<std::size_t>& candidates) {
  constexpr double kRounding = 1e-9;
  Plan lowered = plan;
  for (const std::size_t site : candidates) lowered[site] = target;
  const double before = latency.estimate(sites, plan);
  const double after = latency.estimate(sites, lowered);
  const double unit = kRounding * before;
  Plan one_lowered = plan;
  Plan one_raised = lowered;
  std::vector<double> result;
  for (const std::size_t site : candidates) {
    one_lowered[site] = target;
    one_raised[site] = plan[site];
    const double alone = before - latency.estimate(sites, one_lowered);
    const double beside_others = latency.estimate(sites, one_raised) - after;
    result.push_back(std::round((alone + beside_others) / 2 / unit) * unit);
    one_lowered[site] = plan[site];
    one_raised[site] = target;
  }
  return result;
}

Ordering in_order(std::vector<Rank> ranks) {
  std::sort(ranks.begin(), ranks.end());
  Ordering ordering;
  for (const auto& [group, key, site] : ranks) ordering.push_back(site);
  return ordering;
}

/// `pairs` with what different sites do to each other times `factor`.
PairMatrix damped(const PairMatrix& pairs, double factor) {
  std::vector<double> values = pairs.values();
  const std::size_t precisions = pairs.precisions().size();
  const std::size_t rows = pairs.rows();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (i / rows / precisions != i % rows / precisions) values[i] *= factor;
  return {pairs.sites(), pairs.precisions(), std::move(values), pairs.scale()};
}

/// One ordering under way: what each open site would add to the damage now.
class Nesting {
 public:
  Nesting(const PairMatrix& pairs, const Plan& plan, Precision target, const std::vector<std::size_t>& candidates,
          std::vector<double> gains)
      : pairs_(pairs), plan_(plan), target_(target), gains_(std::move(gains)) {
    for (std::size_t k = 0; k < candidates.size(); ++k)
      open_.push_back({candidates[k], k, pairs.increase(plan, candidates[k], target)});
  }

  Ordering run() {
    Ordering ordering;
    while (!open_.empty()) {
      const auto best = std::min_element(open_.begin(), open_.end(),
                                         [&](const Open& a, const Open& b) { return rank_of(a) < rank_of(b); });
      const std::size_t site = best->site;
      open_.erase(best);
      for (Open& other : open_) other.increase += interaction(other.site, site);
      plan_[site] = target_;
      ordering.push_back(site);
    }
    return ordering;
  }

 private:
  struct Open {
    std::size_t site = 0;
    std::size_t position = 0;  ///< in gains_
    double increase = 0;
  };

  [[nodiscard]] Rank rank_of(const Open& open) const {
    if (gains_.empty()) return {0, open.increase, open.site};
    return rank(open.increase, gains_[open.position], open.site);
  }

  /// What lowering `lowered` adds to the increase of lowering `site` after it.
  [[nodiscard]] double interaction(std::size_t site, std::size_t lowered) const {
    const auto between = [&](Precision p, Precision q) { return pairs_.at(site, p, lowered, q); };
    return pairs_.scale() * (between(target_, target_) - between(plan_[site], target_) -
                             between(target_, plan_[lowered]) + between(plan_[site], plan_[lowered]));
  }

  const PairMatrix& pairs_;
  Plan plan_;
  Precision target_;
  std::vector<double> gains_;  ///< by position; empty where they do not count
  std::vector<Open> open_;
};

void require_pairs(const SensitivityTable& table) {
  if (!table.pairs)
    throw Error(Errc::InvalidArgument,
                message("ordering nested: the sensitivity table \"", table.metric,
                        "\" says nothing of pairs of sites: take a metric that does, such as interlayer or "
                        "interlayer-pairs, or the ordering gain or score"));
}

void require_sites(const PairMatrix& pairs, std::size_t plan) {
  if (pairs.sites() != plan)
    throw Error(Errc::InvalidArgument,
                message("ordering nested: the pair matrix is of ", pairs.sites(), " sites, the plan of ", plan));
}

}  // namespace

OrderFn order_by_score(const SensitivityTable& table) {
  return [&table](const Plan&, Precision target, const std::vector<std::size_t>& candidates) {
    std::vector<Rank> ranks;
    for (const std::size_t site : candidates) ranks.emplace_back(0, score_of(table, site, target), site);
    return in_order(std::move(ranks));
  };
}

OrderFn order_by_score_per_gain(const SensitivityTable& table, std::span<const Site> sites,
                                const LatencyModel& latency) {
  return [&table, sites, &latency](const Plan& plan, Precision target, const std::vector<std::size_t>& candidates) {
    require_within(plan, candidates);
    std::vector<double> scores;
    for (const std::size_t site : candidates) scores.push_back(score_of(table, site, target));
    const std::vector<double> gained = gains(sites, latency, plan, target, candidates);
    std::vector<Rank> ranks;
    for (std::size_t k = 0; k < candidates.size(); ++k) ranks.push_back(rank(scores[k], gained[k], candidates[k]));
    return in_order(std::move(ranks));
  };
}

std::vector<std::string> validate(const NestedOptions& options) {
  if (options.off_diagonal >= 0 && options.off_diagonal <= 1) return {};
  return {message("off_diagonal is ", options.off_diagonal, ": a factor in [0, 1] is needed")};
}

OrderFn order_nested(const SensitivityTable& table, std::span<const Site> sites, const LatencyModel& latency,
                     const NestedOptions& options) {
  require_valid("nested ordering options", validate(options));
  require_pairs(table);
  const auto pairs = std::make_shared<const PairMatrix>(damped(*table.pairs, options.off_diagonal));
  return [pairs, sites, &latency, per_gain = options.per_gain](const Plan& plan, Precision target,
                                                               const std::vector<std::size_t>& candidates) {
    require_sites(*pairs, plan.size());
    require_within(plan, candidates);
    std::vector<double> gained;
    if (per_gain) gained = gains(sites, latency, plan, target, candidates);
    return Nesting(*pairs, plan, target, candidates, std::move(gained)).run();
  };
}

OrderMethod score_order() {
  return {.name = "score", .make = [](const SensitivityTable& table, std::span<const Site>, const LatencyModel&) {
            return order_by_score(table);
          }};
}

OrderMethod gain_order() { return {.name = "gain", .make = order_by_score_per_gain}; }

OrderMethod nested_order(const NestedOptions& options) {
  require_valid("nested ordering options", validate(options));
  return {.name = "nested",
          .needs_pairs = true,
          .make = [options](const SensitivityTable& table, std::span<const Site> sites, const LatencyModel& latency) {
            return order_nested(table, sites, latency, options);
          }};
}

}  // namespace halftone
