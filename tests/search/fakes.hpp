#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "halftone/evaluate/evaluation.hpp"
#include "halftone/latency/size.hpp"
#include "halftone/search/search.hpp"

namespace halftone::fakes {

inline std::vector<Site> make_sites(std::size_t count) {
  std::vector<Site> sites(count);
  for (std::size_t i = 0; i < count; ++i) {
    sites[i].name = message("site", i);
    sites[i].macs = 1000;
  }
  return sites;
}

inline Evaluation verdict(bool passed, double damage = 0) {
  Evaluation evaluation;
  evaluation.score = 1 - damage;
  evaluation.samples = 1;
  evaluation.damage = damage;
  evaluation.passed = passed;
  return evaluation;
}

/// Passes what a function of the plan says.
struct FunctionEvaluator : Evaluator {
  explicit FunctionEvaluator(std::function<bool(const Plan&)> passes_) : passes(std::move(passes_)) {}
  std::optional<Evaluation> evaluate(const Plan& plan) override { return verdict(passes(plan)); }
  std::function<bool(const Plan&)> passes;
};

/// Every site adds a damage of its own at every precision (none where it is not listed); passes within a budget. The
/// fastest passing plan is known by enumeration.
struct ToyEvaluator : Evaluator {
  std::vector<std::map<Precision, double>> damage;  ///< by site
  double budget = 0;

  [[nodiscard]] double total(const Plan& plan) const {
    double sum = 0;
    for (std::size_t i = 0; i < plan.size(); ++i)
      if (const auto found = damage[i].find(plan[i]); found != damage[i].end()) sum += found->second;
    return sum;
  }
  std::optional<Evaluation> evaluate(const Plan& plan) override {
    const double sum = total(plan);
    return verdict(sum <= budget, sum);
  }
};

/// Counts, and notes any plan that comes twice.
struct CountingEvaluator : Evaluator {
  explicit CountingEvaluator(Evaluator& inner_) : inner(inner_) {}
  std::optional<Evaluation> evaluate(const Plan& plan) override {
    ++calls;
    if (!seen.insert(to_string(plan)).second) repeated = true;
    return inner.evaluate(plan);
  }
  Evaluator& inner;
  int calls = 0;
  bool repeated = false;
  std::set<std::string> seen;
};

/// The user asks to stop while plan `limit` + 1 is being scored.
struct StoppingEvaluator : Evaluator {
  StoppingEvaluator(Evaluator& inner_, int limit_) : inner(inner_), limit(limit_) {}
  std::optional<Evaluation> evaluate(const Plan& plan) override {
    if (++calls > limit) return std::nullopt;
    return inner.evaluate(plan);
  }
  Evaluator& inner;
  int limit;
  int calls = 0;
};

/// Breaks down on plan `limit` + 1.
struct ThrowingEvaluator : Evaluator {
  ThrowingEvaluator(Evaluator& inner_, int limit_) : inner(inner_), limit(limit_) {}
  std::optional<Evaluation> evaluate(const Plan& plan) override {
    if (calls++ == limit) throw std::runtime_error("the evaluator broke");
    return inner.evaluate(plan);
  }
  Evaluator& inner;
  int limit;
  int calls = 0;
};

/// A cost of its own for every site and precision; 1 where none is given.
struct ListedLatency final : LatencyModel {
  std::vector<std::map<Precision, double>> costs;  ///< by site
  [[nodiscard]] std::string name() const override { return "listed"; }
  [[nodiscard]] std::string origin() const override { return "made up"; }
  [[nodiscard]] std::string unit() const override { return "units"; }

 private:
  [[nodiscard]] double do_estimate(std::span<const Site>, const Plan& plan) const override {
    double cost = 0;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      const auto found = costs[i].find(plan[i]);
      cost += found == costs[i].end() ? 1 : found->second;
    }
    return cost;
  }
};

/// A chain: every site gains by being lowered, and every pair of neighbours at unequal precisions costs time.
struct ChainLatency final : LatencyModel {
  double base = 100;
  std::vector<std::map<Precision, double>> gains;  ///< by site
  std::vector<double> costs;                       ///< between each site and the next

  [[nodiscard]] std::string name() const override { return "chain"; }
  [[nodiscard]] std::string origin() const override { return "made up"; }
  [[nodiscard]] std::string unit() const override { return "units"; }

 private:
  [[nodiscard]] double do_estimate(std::span<const Site>, const Plan& plan) const override {
    double time = base;
    for (std::size_t i = 0; i < plan.size(); ++i)
      if (const auto gain = gains[i].find(plan[i]); gain != gains[i].end()) time -= gain->second;
    for (std::size_t i = 0; i + 1 < plan.size(); ++i)
      if (plan[i] != plan[i + 1]) time += costs[i];
    return time;
  }
};

}  // namespace halftone::fakes
