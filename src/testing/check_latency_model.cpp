#include "halftone/testing/check_latency_model.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>
#include <random>

#include "testing/violations.hpp"

namespace halftone::testing {

namespace {

using internal::Violations;

std::vector<Plan> plans(std::size_t sites, std::span<const Precision> precisions, const CheckLatencyOptions& options) {
  std::vector<Plan> list;
  for (const Precision precision : precisions) list.push_back(Plan::uniform(sites, precision));
  std::mt19937_64 random(options.seed);
  for (int k = 0; k < options.plans; ++k) {
    Plan& plan = list.emplace_back(Plan::uniform(sites, precisions.front()));
    for (Precision& precision : plan.precisions) precision = precisions[random() % precisions.size()];
  }
  return list;
}

/// Lowering and raising back again must cancel, whatever the model computes.
void check_gains(const LatencyModel& model, std::span<const Site> sites, std::span<const Precision> precisions,
                 const Plan& plan, Violations& violations) {
  constexpr double kRounding = 1e-9;
  const double time = model.estimate(sites, plan);
  for (std::size_t site = 0; site < plan.size(); ++site)
    for (const Precision precision : precisions) {
      Plan other = plan;
      other[site] = precision;
      const double difference = time - model.estimate(sites, other);
      const double gain = model.gain(sites, plan, site, precision);
      const double back = model.gain(sites, other, site, plan[site]);
      if (std::abs(gain - difference) <= kRounding * time && std::abs(gain + back) <= kRounding * time) continue;
      violations.add("site \"", sites[site].name, "\" of plan \"", to_string(plan), "\" gains ", gain, " at precision ",
                     precision, ", loses ", -back, " on the way back, and the estimates differ by ", difference);
      return;
    }
}

}  // namespace

std::vector<std::string> check_latency_model(const LatencyModel& model, std::span<const Site> sites,
                                             std::span<const Precision> precisions,
                                             const CheckLatencyOptions& options) {
  Violations violations("latency model " + model.name());
  if (model.name().empty()) violations.add("it has no name");
  if (model.origin().empty()) violations.add("it does not say where its figures come from (origin)");
  if (model.unit().empty()) violations.add("it has no unit");
  if (model.batch() < 1) violations.add("its batch is ", model.batch(), ", at least 1 is needed");
  if (sites.empty() || precisions.empty()) {
    violations.add("nothing was checked: give sites and precisions");
    return violations.list();
  }
  violations.guard("estimating", [&] {
    const std::vector<Plan> all = plans(sites.size(), precisions, options);
    std::vector<double> times;
    for (const Plan& plan : all) times.push_back(model.estimate(sites, plan));
    for (std::size_t k = all.size(); k-- > 0;)
      if (const double again = model.estimate(sites, all[k]); again != times[k]) {
        violations.add("it is not deterministic: plan \"", to_string(all[k]), "\" takes ", times[k], ", and then ",
                       again);
        return;
      }
    for (std::size_t k = 0; k < std::min<std::size_t>(all.size(), 2 * precisions.size()); ++k)
      check_gains(model, sites, precisions, all[k], violations);
  });
  return violations.list();
}

}  // namespace halftone::testing
