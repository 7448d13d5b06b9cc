#include "halftone/search/unit_search.hpp"

#include <algorithm>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

Site merge(const SiteUnit& unit, std::span<const Site> sites) {
  Site merged = sites[unit.sites.front()];
  merged.name = unit.name;
  for (std::size_t k = 1; k < unit.sites.size(); ++k) {
    const Site& site = sites[unit.sites[k]];
    merged.macs += site.macs;
    merged.weight_elements += site.weight_elements;
    merged.input_elements += site.input_elements;
    merged.output_elements += site.output_elements;
  }
  return merged;
}

/// Precisions below 16 bits to choose from.
std::vector<Precision> lowered(const SiteUnits& units) {
  std::vector<Precision> list = units.precisions();
  std::erase(list, k16);
  return list;
}

}  // namespace

UnitSearch::UnitLatency::UnitLatency(const SiteUnits& units, std::span<const Site> sites, const LatencyModel& inner)
    : units_(units), sites_(sites), inner_(inner) {
  constexpr double kShare = 1e-7;  // above what searches take for rounding
  trifle_ = kShare * of_sites(Plan::uniform(sites.size(), units.precisions().front()));
}

double UnitSearch::UnitLatency::do_estimate(std::span<const Site> /*units*/, const Plan& plan) const {
  double time = of_sites(units_.expand(plan));
  for (std::size_t u = 0; u < plan.size(); ++u)
    if (units_.allowed(units_.units()[u], plan[u]) != plan[u]) time += trifle_;
  return time;
}

UnitSearch::UnitSearch(const SiteUnits& units, std::span<const Site> sites, const LatencyModel& latency,
                       Evaluator& evaluator)
    : units_(units), latency_(units, sites, latency), evaluator_(units, evaluator) {
  for (const SiteUnit& unit : units.units()) unit_sites_.push_back(merge(unit, sites));
}

void UnitSearch::begin(std::span<const SearchStep> known) {
  known_sites_ = known;
  known_.clear();
  evaluator_.forget();
  for (const SearchStep& step : known) {
    if (!units_.obeys(step.plan)) continue;
    evaluator_.know(step.plan, step.evaluation);
    known_.push_back(step);
    known_.back().plan = units_.contract(step.plan);
  }
}

std::optional<Evaluation> UnitSearch::UnitEvaluator::evaluate(const Plan& plan) {
  const Plan sites = units_.expand(plan);
  const auto same = [&](const auto& entry) { return entry.first == sites; };
  const auto found = std::find_if(scored_.begin(), scored_.end(), same);
  if (found != scored_.end()) return found->second;
  std::optional<Evaluation> evaluation = inner_.evaluate(sites);
  if (evaluation) know(sites, *evaluation);
  return evaluation;
}

SensitivityTable UnitSearch::table(const SensitivityTable& of_sites) const {
  SensitivityTable table{.metric = of_sites.metric};
  const PredictedDamage damage(SensitivityTable{.metric = of_sites.metric, .scores = of_sites.scores});
  for (const SiteUnit& unit : units_.units()) {
    auto& scores = table.scores.emplace_back();
    for (const Precision precision : lowered(units_)) {
      const Precision allowed = units_.allowed(unit, precision);
      double sum = 0;
      for (const std::size_t site : unit.sites) sum += damage.term(site, allowed, site, allowed);
      scores[precision] = sum;
    }
  }
  if (of_sites.pairs) table.pairs = pairs(*of_sites.pairs);
  return table;
}

PairMatrix UnitSearch::pairs(const PairMatrix& of_sites) const {
  const std::vector<Precision> precisions = lowered(units_);
  const std::vector<SiteUnit>& units = units_.units();
  const std::size_t levels = precisions.size();
  const std::size_t rows = units.size() * levels;
  const auto between = [&](const std::vector<std::size_t>& a, Precision p, const std::vector<std::size_t>& b,
                           Precision q) {
    double sum = 0;
    for (const std::size_t i : a)
      for (const std::size_t j : b) sum += of_sites.at(i, p, j, q);
    return sum;
  };
  std::vector<double> values(rows * rows);
  for (std::size_t row = 0; row < rows; ++row) {
    const SiteUnit& unit = units[row / levels];
    const Precision p = units_.allowed(unit, precisions[row % levels]);
    for (std::size_t column = 0; column < rows; ++column) {
      const SiteUnit& other = units[column / levels];
      values[row * rows + column] =
          between(unit.sites, p, other.sites, units_.allowed(other, precisions[column % levels]));
    }
    values[row * rows + row] += 2 * between(unit.sites, p, units_.fixed(), units_.precisions().front());
  }
  return {units.size(), precisions, std::move(values), of_sites.scale()};
}

SearchResult UnitSearch::expand(SearchResult of_units) const {
  SearchResult result = std::move(of_units);
  result.best = units_.expand(result.best);
  result.best_latency = latency_.of_sites(result.best);
  std::vector<SearchStep> steps;
  for (SearchStep& step : result.steps) {
    step.plan = units_.expand(step.plan);
    step.latency = latency_.of_sites(step.plan);
    if (find_step(steps, step.plan) == nullptr && find_step(known_sites_, step.plan) == nullptr) {
      steps.push_back(std::move(step));
      continue;
    }
    std::erase_if(result.decisions, [&](const Decision& decision) {
      return decision.plan_digest == step.evaluation.plan_digest && decision.text == step.decision;
    });
  }
  result.steps = std::move(steps);
  return result;
}

}  // namespace halftone
