#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "fakes.hpp"
#include "halftone/sensitivity/predicted_damage.hpp"

namespace halftone::fakes {

/// Damage 1/2 x^T G x with G = D + B B^T drawn at random, D diagonal and B of low rank: sites add to each other's
/// damage and cancel. True damage is what is predicted. Latency: every site has a gain of its own, which lower
/// precisions raise; no conversions.
struct Quadratic {
  Quadratic(std::size_t count, std::vector<Precision> list, unsigned seed)
      : sites(make_sites(count)), precisions(std::move(list)), random(seed), table(draw()), damage(table) {
    std::uniform_real_distribution<double> uniform(0.2, 1);
    for (std::size_t i = 0; i < count; ++i) {
      auto& costs = latency.costs.emplace_back();
      double cost = costs[precisions.front()] = 10;
      for (std::size_t p = 1; p < precisions.size(); ++p) costs[precisions[p]] = cost -= 4 * uniform(random);
    }
  }

  [[nodiscard]] SearchProblem problem() const {
    return {.sites = sites,
            .precisions = precisions,
            .order = order,
            .latency = latency,
            .predict = [this]() -> const PredictedDamage& { return damage; }};
  }
  [[nodiscard]] double time(const Plan& plan) const { return latency.estimate(sites, plan); }
  [[nodiscard]] auto within(double budget) const {
    return FunctionEvaluator([this, budget](const Plan& plan) { return damage.damage(plan) <= budget; });
  }
  /// `share` of the damage of all sites at the last precision.
  [[nodiscard]] double budget(double share) const {
    return share * damage.damage(Plan::uniform(sites.size(), precisions.back()));
  }

  std::vector<Site> sites;
  std::vector<Precision> precisions;
  std::mt19937 random;
  std::vector<double> own;  ///< D
  SensitivityTable table;
  ListedLatency latency;
  PredictedDamage damage;
  OrderFn order = [](const Plan&, Precision, const std::vector<std::size_t>& asked) { return asked; };

 private:
  SensitivityTable draw() {
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> uniform(0.2, 1);
    const std::size_t lower = precisions.size() - 1;
    const std::size_t rows = sites.size() * lower;
    constexpr std::size_t kRank = 3;
    std::vector<double> factors(rows * kRank);
    for (double& factor : factors) factor = 0.3 * normal(random);
    own.resize(rows);
    for (double& value : own) value = uniform(random) * uniform(random);
    // A lower precision does more damage.
    const auto scale = [&](std::size_t row) { return std::pow(2.0, static_cast<double>(row % lower)); };
    std::vector<double> values(rows * rows);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < rows; ++j) {
        double product = i == j ? own[i] : 0;
        for (std::size_t k = 0; k < kRank; ++k) product += factors[i * kRank + k] * factors[j * kRank + k];
        values[i * rows + j] = product * scale(i) * scale(j);
      }
    SensitivityTable drawn;
    drawn.scores.resize(sites.size());
    drawn.pairs = PairMatrix(sites.size(), {precisions.begin() + 1, precisions.end()}, std::move(values));
    for (std::size_t i = 0; i < sites.size(); ++i)
      for (const Precision precision : drawn.pairs->precisions())
        drawn.scores[i][precision] = drawn.pairs->at(i, precision, i, precision) / 2;
    return drawn;
  }
};

}  // namespace halftone::fakes
