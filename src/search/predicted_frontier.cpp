#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

#include "halftone/search/frontier.hpp"
#include "halftone/sensitivity/predicted_damage.hpp"

namespace halftone {
namespace {

/// Precisions by their place in the problem's list, by site.
using Choice = std::vector<std::uint16_t>;

struct Point {
  Choice choice;
  double latency = 0;
  double damage = 0;
};

/// The problem with damage as a dense table.
class Space {
 public:
  Space(std::span<const Site> sites, std::span<const Precision> precisions, const LatencyModel& latency,
        const PredictedDamage& damage)
      : sites_(sites), precisions_(precisions), latency_(latency), scratch_(Plan::uniform(sites.size(), {})) {
    const std::size_t rows = size() * levels();
    terms_.resize(rows * rows);
    for (std::size_t a = 0; a < rows; ++a)
      for (std::size_t b = 0; b < rows; ++b)
        terms_[a * rows + b] =
            damage.term(a / levels(), precisions[a % levels()], b / levels(), precisions[b % levels()]);
  }

  [[nodiscard]] std::size_t size() const { return sites_.size(); }
  [[nodiscard]] std::size_t levels() const { return precisions_.size(); }
  /// What site i at p and site j at q do to each other; for i = j and p = q what the site does alone.
  [[nodiscard]] double term(std::size_t i, std::uint16_t p, std::size_t j, std::uint16_t q) const {
    return terms_[(i * levels() + p) * size() * levels() + j * levels() + q];
  }
  [[nodiscard]] Plan plan(const Choice& choice) const {
    Plan plan = Plan::uniform(size(), precisions_.front());
    for (std::size_t i = 0; i < size(); ++i) plan[i] = precisions_[choice[i]];
    return plan;
  }
  [[nodiscard]] double time(const Choice& choice) {
    for (std::size_t i = 0; i < size(); ++i) scratch_[i] = precisions_[choice[i]];
    return latency_.estimate(sites_, scratch_);
  }
  [[nodiscard]] double damage(const Choice& choice) const {
    double sum = 0;
    for (std::size_t i = 0; i < size(); ++i) {
      sum += term(i, choice[i], i, choice[i]);
      for (std::size_t j = 0; j < i; ++j) sum += term(i, choice[i], j, choice[j]);
    }
    return sum;
  }
  [[nodiscard]] Point predict(Choice choice) {
    const double seconds = time(choice);
    const double lost = damage(choice);
    return {std::move(choice), seconds, lost};
  }

 private:
  std::span<const Site> sites_;
  std::span<const Precision> precisions_;
  const LatencyModel& latency_;
  Plan scratch_;
  std::vector<double> terms_;
};

/// What a change of a choice adds to its damage. Cost: sites x precisions a step.
class Increase {
 public:
  Increase(const Space& space, Choice choice)
      : space_(space), choice_(std::move(choice)), pull_(space.size() * space.levels()) {
    for (std::size_t j = 0; j < choice_.size(); ++j) pull(j, choice_[j], 1);
  }

  [[nodiscard]] double of(std::size_t i, std::uint16_t to) const {
    const std::uint16_t from = choice_[i];
    return space_.term(i, to, i, to) - space_.term(i, from, i, from) + pull_[i * space_.levels() + to] -
           pull_[i * space_.levels() + from];
  }
  /// What two changes add beyond the sum of what each adds.
  [[nodiscard]] double beyond(std::size_t i, std::uint16_t to_i, std::size_t j, std::uint16_t to_j) const {
    const auto between = [&](std::uint16_t p, std::uint16_t q) { return space_.term(i, p, j, q); };
    return between(to_i, to_j) - between(to_i, choice_[j]) - between(choice_[i], to_j) +
           between(choice_[i], choice_[j]);
  }
  void move(std::size_t i, std::uint16_t to) {
    pull(i, choice_[i], -1);
    pull(i, to, 1);
    choice_[i] = to;
  }

 private:
  void pull(std::size_t j, std::uint16_t q, double sign) {
    for (std::size_t i = 0; i < choice_.size(); ++i)
      for (std::size_t p = 0; p < space_.levels(); ++p)
        if (i != j) pull_[i * space_.levels() + p] += sign * space_.term(i, static_cast<std::uint16_t>(p), j, q);
  }

  const Space& space_;
  Choice choice_;
  std::vector<double> pull_;  ///< by site and precision, from all other sites
};

/// Leaves the points that no other beats, slowest first; of equals the first.
std::vector<Point> undominated(std::vector<Point> points) {
  std::stable_sort(points.begin(), points.end(), [](const Point& a, const Point& b) {
    return std::pair(a.damage, a.latency) < std::pair(b.damage, b.latency);
  });
  std::vector<Point> kept;
  for (Point& point : points)
    if (kept.empty() || point.latency < kept.back().latency) kept.push_back(std::move(point));
  return kept;
}

/// Nothing where there are more than `most` choices.
std::vector<Point> enumerate(Space& space, std::size_t most) {
  std::size_t count = 1;
  for (std::size_t i = 0; i < space.size(); ++i) {
    count *= space.levels();
    if (count > most) return {};
  }
  std::vector<Point> points;
  Choice choice(space.size());
  for (std::size_t k = 0; k < count; ++k) {
    points.push_back(space.predict(choice));
    for (std::uint16_t& level : choice) {
      level = static_cast<std::uint16_t>((level + 1U) % space.levels());
      if (level != 0) break;
    }
  }
  return undominated(std::move(points));
}

/// Descends latency + weight x damage from `at`, by changes of one site, and of two neighbours, which share the cost of
/// conversions.
void descend(Space& space, double weight, Point& at) {
  constexpr double kRounding = 1e-12;
  constexpr int kMostRounds = 50;
  Increase increase(space, at.choice);
  const auto improve = [&](std::size_t site, std::size_t count) {
    double least = (at.latency + weight * at.damage) * (1 - kRounding);
    Point best;
    for (std::size_t p = 0; p < space.levels(); ++p) {
      const auto to = static_cast<std::uint16_t>(p);
      Point next = at;
      for (std::size_t i = site; i < site + count; ++i) {
        next.damage += increase.of(i, to);
        next.choice[i] = to;
      }
      if (count == 2) next.damage += increase.beyond(site, to, site + 1, to);
      if (next.choice == at.choice) continue;
      next.latency = space.time(next.choice);
      const double value = next.latency + weight * next.damage;
      if (value >= least) continue;
      least = value;
      best = std::move(next);
    }
    if (best.choice.empty()) return false;
    for (std::size_t i = site; i < site + count; ++i) increase.move(i, best.choice[i]);
    at = std::move(best);
    return true;
  };
  for (int round = 0; round < kMostRounds; ++round) {
    bool moved = false;
    for (std::size_t count = 1; count <= 2 && !moved; ++count)
      for (std::size_t site = 0; site + count <= space.size(); ++site) moved |= improve(site, count);
    if (!moved) return;
  }
}

/// Weights of damage worth trying: around what each site gains per damage, alone; beside others it may cost many times
/// as much.
std::vector<double> weights(Space& space, const Point& start) {
  const Increase increase(space, start.choice);
  double least = std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t site = 0; site < space.size(); ++site)
    for (std::size_t p = 1; p < space.levels(); ++p) {
      Choice lowered = start.choice;
      lowered[site] = static_cast<std::uint16_t>(p);
      const double gain = start.latency - space.time(lowered);
      const double damage = increase.of(site, lowered[site]);
      if (!(gain > 0 && damage > 0)) continue;
      least = std::min(least, gain / damage);
      largest = std::max(largest, gain / damage);
    }
  if (largest == 0) return {};
  constexpr int kSteps = 48;
  const double top = std::log(largest * 4);
  const double bottom = std::log(least / static_cast<double>(space.size()) / 4);
  std::vector<double> result;
  for (int k = 0; k <= kSteps; ++k) result.push_back(std::exp(top + (bottom - top) * k / kSteps));
  return result;
}

/// Lowers one site after the other, largest gain per damage first, as long as anything gains.
void add_nested(Space& space, Point at, std::vector<Point>& points) {
  Increase increase(space, at.choice);
  while (true) {
    Point best;
    std::size_t moved = 0;
    double most = -std::numeric_limits<double>::infinity();
    for (std::size_t site = 0; site < space.size(); ++site)
      for (std::size_t p = at.choice[site] + 1U; p < space.levels(); ++p) {
        Point next = at;
        next.choice[site] = static_cast<std::uint16_t>(p);
        next.latency = space.time(next.choice);
        const double gain = at.latency - next.latency;
        if (!(gain > 0)) continue;
        const double damage = increase.of(site, next.choice[site]);
        next.damage += damage;
        // What takes damage away comes before all else, largest gain first.
        const double rank = damage > 0 ? -damage / gain : gain;
        if (rank <= most) continue;
        most = rank;
        moved = site;
        best = std::move(next);
      }
    if (best.choice.empty()) return;
    increase.move(moved, best.choice[moved]);
    at = std::move(best);
    points.push_back(at);
  }
}

/// Whether a point of `list`, undominated, is as fast and damages as little.
bool is_dominated(const std::vector<Point>& list, double latency, double damage) {
  const auto after = std::upper_bound(list.begin(), list.end(), damage,
                                      [](double value, const Point& point) { return value < point.damage; });
  return after != list.begin() && std::prev(after)->latency <= latency;
}

/// Adds what becomes of `at` with one site at another precision, or with `pairs` one lower and one higher, where
/// nothing in `list` beats it.
void add_neighbours(Space& space, const Point& at, bool pairs, const std::vector<Point>& list,
                    std::vector<Point>& found) {
  const Increase increase(space, at.choice);
  Choice choice = at.choice;
  const auto consider = [&](double damage) {
    const double time = space.time(choice);
    if (!is_dominated(list, time, damage)) found.push_back({choice, time, damage});
  };
  for (std::size_t i = 0; i < space.size(); ++i)
    for (std::size_t p = 0; p < space.levels(); ++p) {
      const auto to = static_cast<std::uint16_t>(p);
      if (to == at.choice[i]) continue;
      choice[i] = to;
      const double one = at.damage + increase.of(i, to);
      consider(one);
      for (std::size_t j = 0; pairs && to > at.choice[i] && j < space.size(); ++j)
        for (std::uint16_t up = 0; j != i && up < at.choice[j]; ++up) {
          choice[j] = up;
          consider(one + increase.of(j, up) + increase.beyond(i, to, j, up));
          choice[j] = at.choice[j];
        }
      choice[i] = at.choice[i];
    }
}

/// Rounds of neighbours, of points that are new in the list.
std::vector<Point> improve(Space& space, std::vector<Point> points, bool pairs) {
  constexpr int kMostRounds = 4;
  std::set<Choice> explored;
  for (int round = 0; round < kMostRounds; ++round) {
    std::vector<Point> found;
    for (const Point& point : points)
      if (explored.insert(point.choice).second) add_neighbours(space, point, pairs, points, found);
    if (found.empty()) break;
    points.insert(points.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
    points = undominated(std::move(points));
  }
  return points;
}

/// The frontier where there are too many choices to enumerate.
std::vector<Point> approach(Space& space, bool pairs) {
  Point at = space.predict(Choice(space.size()));
  std::vector<Point> points;
  for (std::size_t p = 0; p < space.levels(); ++p)
    points.push_back(space.predict(Choice(space.size(), static_cast<std::uint16_t>(p))));
  for (const double weight : weights(space, at)) {
    descend(space, weight, at);
    points.push_back(at);
  }
  points = undominated(std::move(points));
  const std::vector<Point> corners = points;
  for (const Point& corner : corners) add_nested(space, corner, points);
  points = improve(space, undominated(std::move(points)), pairs);
  for (Point& point : points) point = space.predict(std::move(point.choice));  // sums of differences drift
  return undominated(std::move(points));
}

}  // namespace

std::vector<PredictedPlan> predicted_frontier(std::span<const Site> sites, std::span<const Precision> precisions,
                                              const LatencyModel& latency, const PredictedDamage& damage,
                                              const FrontierOptions& options) {
  Space space(sites, precisions, latency, damage);
  std::vector<Point> points = enumerate(space, options.most_enumerated);
  if (points.empty()) points = approach(space, sites.size() <= options.most_paired);
  std::vector<PredictedPlan> plans;
  // Others may be predicted to do no damage at all; what is known to pass still comes first.
  const Choice baseline(sites.size());
  if (points.front().choice != baseline) points.insert(points.begin(), space.predict(baseline));
  for (const Point& point : points) plans.push_back({space.plan(point.choice), point.latency, point.damage});
  return plans;
}

}  // namespace halftone
