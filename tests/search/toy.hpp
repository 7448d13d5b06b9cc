#pragma once

#include <algorithm>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "fakes.hpp"
#include "halftone/order/ordering.hpp"

namespace halftone::fakes {

inline const std::vector<Precision> kAll{k16, k8, kW4A8, k4};

inline Ordering as_listed(const Plan&, Precision, const std::vector<std::size_t>& sites) { return sites; }

/// A toy problem: damage of each site at each precision, larger the lower; ordered by it, as a perfect metric would.
struct Toy {
  Toy(std::size_t count, std::span<const Precision> list, unsigned seed)
      : sites(make_sites(count)), precisions(list.begin(), list.end()) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform(0.01, 1);
    evaluator.damage.resize(count);
    table.scores.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      sites[i].macs = 500 + static_cast<std::int64_t>(random() % 1000);
      double damage = 0;
      for (std::size_t p = 1; p < precisions.size(); ++p) {
        damage += uniform(random);
        evaluator.damage[i][precisions[p]] = table.scores[i][precisions[p]] = damage;
      }
    }
    const double worst = evaluator.total(Plan::uniform(count, precisions.back()));
    evaluator.budget = std::uniform_real_distribution<double>(0, 1.1 * worst)(random);
  }
  [[nodiscard]] SearchProblem problem() const { return {sites, precisions, order, latency}; }

  std::vector<Site> sites;
  std::vector<Precision> precisions;
  SensitivityTable table;
  OrderFn order = order_by_score(table);
  SizeLatency latency;
  ToyEvaluator evaluator;
};

/// Least latency among all plans that pass.
inline double optimum(const Toy& toy) {
  Plan plan = Plan::uniform(toy.sites.size(), toy.precisions.front());
  double least = toy.latency.estimate(toy.sites, plan);
  std::vector<std::size_t> digits(plan.size());
  while (true) {
    std::size_t site = 0;
    while (site < digits.size() && ++digits[site] == toy.precisions.size()) digits[site++] = 0;
    if (site == digits.size()) return least;
    for (std::size_t i = 0; i < plan.size(); ++i) plan[i] = toy.precisions[digits[i]];
    if (toy.evaluator.total(plan) <= toy.evaluator.budget)
      least = std::min(least, toy.latency.estimate(toy.sites, plan));
  }
}

inline std::size_t count_at(const Plan& plan, Precision precision) {
  return static_cast<std::size_t>(std::count(plan.precisions.begin(), plan.precisions.end(), precision));
}

inline std::vector<std::string> decisions(const SearchResult& result) {
  std::vector<std::string> list;
  for (const SearchStep& step : result.steps) list.push_back(step.decision);
  return list;
}

}  // namespace halftone::fakes
