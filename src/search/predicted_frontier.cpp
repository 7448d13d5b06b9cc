#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "halftone/search/frontier.hpp"
#include "halftone/sensitivity/predicted_damage.hpp"

namespace halftone {
namespace {

struct Space {
  std::span<const Site> sites;
  std::span<const Precision> precisions;
  const LatencyModel& latency;
  const PredictedDamage& damage;

  [[nodiscard]] double time(const Plan& plan) const { return latency.estimate(sites, plan); }
  [[nodiscard]] PredictedPlan predict(Plan plan) const {
    const double seconds = time(plan);
    const double lost = damage.damage(plan);
    return {std::move(plan), seconds, lost};
  }
};

/// Leaves the plans that no other beats, slowest first; of equals the first.
std::vector<PredictedPlan> undominated(std::vector<PredictedPlan> plans) {
  std::stable_sort(plans.begin(), plans.end(), [](const PredictedPlan& a, const PredictedPlan& b) {
    return std::pair(a.damage, a.latency) < std::pair(b.damage, b.latency);
  });
  std::vector<PredictedPlan> kept;
  for (PredictedPlan& plan : plans)
    if (kept.empty() || plan.latency < kept.back().latency) kept.push_back(std::move(plan));
  return kept;
}

/// Nothing where there are more than `most` plans.
std::vector<PredictedPlan> enumerate(const Space& space, std::size_t most) {
  std::size_t count = 1;
  for (std::size_t i = 0; i < space.sites.size(); ++i) {
    count *= space.precisions.size();
    if (count > most) return {};
  }
  std::vector<PredictedPlan> plans;
  std::vector<std::size_t> digits(space.sites.size());
  Plan plan = Plan::uniform(space.sites.size(), space.precisions.front());
  for (std::size_t k = 0; k < count; ++k) {
    plans.push_back(space.predict(plan));
    for (std::size_t site = 0; site < digits.size(); ++site) {
      digits[site] = (digits[site] + 1) % space.precisions.size();
      plan[site] = space.precisions[digits[site]];
      if (digits[site] != 0) break;
    }
  }
  return undominated(std::move(plans));
}

/// Descent of latency + weight x damage.
class Descent {
 public:
  Descent(const Space& space, double weight, PredictedPlan start)
      : space_(space), weight_(weight), at_(std::move(start)) {}

  PredictedPlan run() {
    constexpr int kMostRounds = 50;
    for (int round = 0; round < kMostRounds; ++round) {
      bool moved = false;
      for (std::size_t site = 0; site < at_.plan.size(); ++site) moved |= improve(site, 1);
      if (!moved)  // neighbours share the cost of conversions
        for (std::size_t site = 0; site + 1 < at_.plan.size(); ++site) moved |= improve(site, 2);
      if (!moved) break;
    }
    at_.damage = space_.damage.damage(at_.plan);
    return at_;
  }

 private:
  /// `count` sites from `site` on to the precision that is best for all of them.
  bool improve(std::size_t site, std::size_t count) {
    PredictedPlan best = at_;
    for (const Precision precision : space_.precisions) {
      Plan plan = at_.plan;
      double damage = at_.damage;
      for (std::size_t i = site; i < site + count; ++i) {
        damage += space_.damage.increase(plan, i, precision);
        plan[i] = precision;
      }
      if (plan == at_.plan) continue;
      const double time = space_.time(plan);
      constexpr double kRounding = 1e-12;
      if (time + weight_ * damage < (best.latency + weight_ * best.damage) * (1 - kRounding))
        best = {std::move(plan), time, damage};
    }
    if (best.plan == at_.plan) return false;
    at_ = std::move(best);
    return true;
  }

  const Space& space_;
  double weight_;
  PredictedPlan at_;
};

/// What each site gains per damage, alone: between the least and the largest lie the weights worth trying.
std::vector<double> weights(const Space& space, const PredictedPlan& start) {
  std::vector<double> ratios;
  for (std::size_t site = 0; site < space.sites.size(); ++site)
    for (const Precision precision : space.precisions.subspan(1)) {
      const double gain = space.latency.gain(space.sites, start.plan, site, precision);
      const double damage = space.damage.increase(start.plan, site, precision);
      if (gain > 0 && damage > 0) ratios.push_back(gain / damage);
    }
  if (ratios.empty()) return {};
  const auto [least, largest] = std::minmax_element(ratios.begin(), ratios.end());
  // Beside others a site may cost many times what it costs alone.
  constexpr int kSteps = 64;
  const double top = std::log(*largest * 4);
  const double bottom = std::log(*least / static_cast<double>(space.sites.size()) / 4);
  std::vector<double> result;
  for (int k = 0; k <= kSteps; ++k) result.push_back(std::exp(top + (bottom - top) * k / kSteps));
  return result;
}

/// One site after the other is lowered by one precision, largest gain per damage first, as long as anything gains.
void add_nested(const Space& space, PredictedPlan at, std::vector<PredictedPlan>& plans) {
  while (true) {
    PredictedPlan best;
    double most = -std::numeric_limits<double>::infinity();
    for (std::size_t site = 0; site < at.plan.size(); ++site)
      for (const Precision precision : space.precisions) {
        if (!(precision < at.plan[site])) continue;
        const double gain = space.latency.gain(space.sites, at.plan, site, precision);
        if (!(gain > 0)) continue;
        const double damage = space.damage.increase(at.plan, site, precision);
        // What takes damage away comes before all else, largest gain first.
        const double rank = damage > 0 ? -damage / gain : gain;
        if (rank <= most) continue;
        most = rank;
        best = at;
        best.plan[site] = precision;
        best.latency = at.latency - gain;
        best.damage = at.damage + damage;
      }
    if (best.plan.size() == 0) return;
    at = best;
    plans.push_back(at);
  }
}

/// Whether a plan of `list`, undominated, is as fast and damages as little.
bool is_dominated(const std::vector<PredictedPlan>& list, double latency, double damage) {
  const auto after = std::upper_bound(list.begin(), list.end(), damage,
                                      [](double value, const PredictedPlan& plan) { return value < plan.damage; });
  return after != list.begin() && std::prev(after)->latency <= latency;
}

/// Adds what becomes of `at` with one site at another precision, or with `pairs` two, where nothing in `list` beats it.
void add_neighbours(const Space& space, const PredictedPlan& at, bool pairs, const std::vector<PredictedPlan>& list,
                    std::vector<PredictedPlan>& found) {
  const auto change = [&](const PredictedPlan& from, std::size_t first, const auto& use) {
    for (std::size_t site = first; site < from.plan.size(); ++site)
      for (const Precision precision : space.precisions) {
        if (precision == from.plan[site]) continue;
        PredictedPlan to = from;
        to.plan[site] = precision;
        to.damage += space.damage.increase(from.plan, site, precision);
        to.latency = space.time(to.plan);
        use(to, site);
      }
  };
  const auto add = [&](const PredictedPlan& plan) {
    if (!is_dominated(list, plan.latency, plan.damage)) found.push_back(plan);
  };
  change(at, 0, [&](const PredictedPlan& one, std::size_t site) {
    add(one);
    if (pairs) change(one, site + 1, [&](const PredictedPlan& two, std::size_t) { add(two); });
  });
}

/// Rounds of neighbours, of plans that are new in the list.
std::vector<PredictedPlan> improve(const Space& space, std::vector<PredictedPlan> plans, bool pairs) {
  constexpr int kMostRounds = 4;
  std::set<std::string> explored;
  for (int round = 0; round < kMostRounds; ++round) {
    std::vector<PredictedPlan> found;
    for (const PredictedPlan& plan : plans)
      if (explored.insert(to_string(plan.plan)).second) add_neighbours(space, plan, pairs, plans, found);
    if (found.empty()) break;
    plans.insert(plans.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
    plans = undominated(std::move(plans));
  }
  return plans;
}

}  // namespace

std::vector<PredictedPlan> predicted_frontier(std::span<const Site> sites, std::span<const Precision> precisions,
                                              const LatencyModel& latency, const PredictedDamage& damage,
                                              const FrontierOptions& options) {
  const Space space{sites, precisions, latency, damage};
  if (auto plans = enumerate(space, options.most_enumerated); !plans.empty()) return plans;
  const PredictedPlan start = space.predict(Plan::uniform(sites.size(), precisions.front()));
  std::vector<PredictedPlan> plans{start};
  for (const Precision precision : precisions.subspan(1))
    plans.push_back(space.predict(Plan::uniform(sites.size(), precision)));
  PredictedPlan at = start;
  for (const double weight : weights(space, start)) {
    at = Descent(space, weight, at).run();
    plans.push_back(at);
  }
  std::vector<PredictedPlan> hull = undominated(plans);
  plans = hull;
  for (const PredictedPlan& corner : hull) add_nested(space, corner, plans);
  plans = improve(space, undominated(std::move(plans)), sites.size() <= options.most_paired);
  for (PredictedPlan& plan : plans) plan = space.predict(std::move(plan.plan));  // sums of differences drift
  return undominated(std::move(plans));
}

}  // namespace halftone
