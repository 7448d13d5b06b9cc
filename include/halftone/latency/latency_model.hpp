#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "halftone/core/error.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/graph/site.hpp"

namespace halftone {

/// Estimates what a whole plan costs: whole, because converting between precisions costs time on edges.
class LatencyModel {
 public:
  virtual ~LatencyModel() = default;

  [[nodiscard]] virtual std::string name() const = 0;    ///< as the command line spells it, e.g. "roofline:a100"
  [[nodiscard]] virtual std::string origin() const = 0;  ///< one sentence: device, source, modelled or measured
  [[nodiscard]] virtual std::string unit() const = 0;    ///< "ms", or what else is counted
  [[nodiscard]] virtual std::int64_t batch() const { return 1; }  ///< samples that one estimate is of

  /// Cost of one batch under `plan`, in `unit()`; positive and finite. Sites and plan are in one order.
  [[nodiscard]] double estimate(std::span<const Site> sites, const Plan& plan) const {
    if (sites.size() != plan.size())
      throw Error(Errc::InvalidArgument, message("latency model ", name(), ": the plan has ", plan.size(),
                                                 " precisions for ", sites.size(), " sites"));
    const double cost = do_estimate(sites, plan);
    if (!std::isfinite(cost) || cost <= 0)
      throw Error(Errc::NonFinite, message("latency model ", name(), " estimated ", cost, ' ', unit(), " for plan \"",
                                           to_string(plan), "\": a positive number is needed"));
    return cost;
  }

  /// What `plan` saves when `site` alone is lowered to `precision`; may be negative.
  [[nodiscard]] double gain(std::span<const Site> sites, const Plan& plan, std::size_t site,
                            Precision precision) const {
    Plan lowered = plan;
    lowered[site] = precision;
    return estimate(sites, plan) - estimate(sites, lowered);
  }

 private:
  [[nodiscard]] virtual double do_estimate(std::span<const Site> sites, const Plan& plan) const = 0;
};

/// A latency model from a function of a whole plan, for batches of `batch` samples.
std::unique_ptr<LatencyModel> make_latency_model(std::string name, std::string unit,
                                                 std::function<double(std::span<const Site>, const Plan&)> cost,
                                                 std::int64_t batch = 1);

}  // namespace halftone
