#pragma once

#include <span>
#include <utility>
#include <vector>

#include "halftone/graph/site_units.hpp"
#include "halftone/search/search.hpp"

namespace halftone {

/// Turns a search over sites into one over units, so that every strategy, ordering and model of damage obeys the rules
/// without knowing them: units stand for sites, and each plan is one of sites again where it is timed or scored.
class UnitSearch {
 public:
  /// Borrows all.
  UnitSearch(const SiteUnits& units, std::span<const Site> sites, const LatencyModel& latency, Evaluator& evaluator);

  /// Starts a search. `known`: plans of sites scored earlier, as in `SearchProblem`; borrowed until the next one
  /// starts.
  void begin(std::span<const SearchStep> known);

  /// One for each unit: its name, what its sites add up to, all else that of the first.
  [[nodiscard]] std::span<const Site> sites() const { return unit_sites_; }
  [[nodiscard]] const LatencyModel& latency() const { return latency_; }
  [[nodiscard]] Evaluator& evaluator() { return evaluator_; }
  /// Of `known`, what obeys the rules.
  [[nodiscard]] std::span<const SearchStep> known() const { return known_; }

  /// What units suffer, without standard errors: scores add up, pairs over all pairs of the sites of two units. Sites
  /// that stay at a precision below 16 bits count in what units do alone. Cost: sites squared with pairs.
  [[nodiscard]] SensitivityTable table(const SensitivityTable& of_sites) const;

  /// The result in plans of sites: none is scored, and none decided on, twice.
  [[nodiscard]] SearchResult expand(SearchResult of_units) const;

 private:
  /// Of plans of units that are one of sites, the one that says what its sites have is a trifle faster.
  class UnitLatency final : public LatencyModel {
   public:
    UnitLatency(const SiteUnits& units, std::span<const Site> sites, const LatencyModel& inner);
    /// Of a plan of sites.
    [[nodiscard]] double of_sites(const Plan& plan) const { return inner_.estimate(sites_, plan); }
    [[nodiscard]] std::string name() const override { return inner_.name(); }
    [[nodiscard]] std::string origin() const override { return inner_.origin(); }
    [[nodiscard]] std::string unit() const override { return inner_.unit(); }
    [[nodiscard]] std::int64_t batch() const override { return inner_.batch(); }

   private:
    [[nodiscard]] double do_estimate(std::span<const Site> units, const Plan& plan) const override;

    const SiteUnits& units_;
    std::span<const Site> sites_;
    const LatencyModel& inner_;
    double trifle_ = 0;
  };

  /// Two plans of units may be one of sites: it is scored once.
  class UnitEvaluator final : public Evaluator {
   public:
    UnitEvaluator(const SiteUnits& units, Evaluator& inner) : units_(units), inner_(inner) {}
    std::optional<Evaluation> evaluate(const Plan& plan) override;
    void know(const Plan& sites, const Evaluation& evaluation) { scored_.emplace_back(sites, evaluation); }
    void forget() { scored_.clear(); }

   private:
    const SiteUnits& units_;
    Evaluator& inner_;
    std::vector<std::pair<Plan, Evaluation>> scored_;
  };

  [[nodiscard]] PairMatrix pairs(const PairMatrix& of_sites) const;

  const SiteUnits& units_;
  std::vector<Site> unit_sites_;
  UnitLatency latency_;
  UnitEvaluator evaluator_;
  std::span<const SearchStep> known_sites_;
  std::vector<SearchStep> known_;
};

}  // namespace halftone
