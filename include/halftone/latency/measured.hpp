#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "halftone/latency/latency_model.hpp"

namespace halftone {

/// Values pass from one site to another, through other operators or none: they are converted on the way where one of
/// the two computes in integers and the other does not.
struct SiteEdge {
  std::size_t from = 0;
  std::size_t to = 0;
  double elements = 0;  ///< for one sample

  bool operator==(const SiteEdge&) const = default;
};

/// The edges of a prepared graph: to each site from the last one with a weight that its input depends on, and from the
/// first to each further reader of one value.
std::vector<SiteEdge> find_edges(const Graph& graph, std::span<const Site> sites);

/// A network under a plan, timed.
struct LatencySample {
  Plan plan;
  double milliseconds = 0;

  bool operator==(const LatencySample&) const = default;
};

/// What was measured of one network on one machine.
struct LatencyMeasurements {
  std::string fingerprint;  ///< of machine, engine, threads, batch, graph and sites
  std::string engine;       ///< "openvino 2026.4.1"
  std::string machine;      ///< CPU
  std::int64_t batch = 1;
  int threads = 1;
  double load = 0;                      ///< of the machine while measuring, the highest seen
  Precision integer = k8;               ///< what stands for all integer precisions in `samples`
  std::vector<LatencySample> samples;   ///< of sites at 16 bits or `integer`
  std::map<Precision, double> uniform;  ///< ms, all sites at any other precision
  std::vector<std::string> sites;       ///< by name
  std::vector<SiteEdge> edges;

  bool operator==(const LatencyMeasurements&) const = default;
};

void to_json(nlohmann::json& json, const LatencyMeasurements& measurements);
/// Throws `BadFile` naming the field, `place` first.
LatencyMeasurements parse_latency_measurements(const std::string& text, const std::string& place);

/// Latency measured in an engine: a linear model of what every site gains in integers and what every conversion costs,
/// fitted to whole networks under random plans. Sites that gain nothing, or lose, come out so. Any two precisions that
/// an engine runs with the same kernels differ by what all sites together differ, by share of their inputs.
///
/// T(plan) = T_16 - sum_i g_i x_i + sum_edges c_e |x_from - x_to|, x_i = 1 where site i computes in integers; ridge
/// regression of g_i towards a common a + b MACs_i + c elements_i (+ d for depthwise, + e for operands of additions),
/// strength by leave-one-out error.
/// Source: Hoerl and Kennard, Ridge Regression, 1970; Allen, PRESS, 1974.
class MeasuredLatency final : public LatencyModel {
 public:
  /// Throws `InvalidArgument` where there are fewer than 3 samples, or they do not fit the sites.
  MeasuredLatency(LatencyMeasurements measurements, std::span<const Site> sites);

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::string origin() const override;
  [[nodiscard]] std::string unit() const override { return "ms"; }
  [[nodiscard]] std::int64_t batch() const override { return measurements_.batch; }

  [[nodiscard]] const LatencyMeasurements& measurements() const { return measurements_; }
  /// Median error of predicting each measured plan from the others, as a share.
  [[nodiscard]] double error() const { return error_; }
  /// Whether the error is above 10 %, as a busy machine leaves it: such measurements are not used a second time.
  [[nodiscard]] bool fits_poorly() const { return error_ > 0.1; }
  [[nodiscard]] double site_gain(std::size_t site) const { return gains_[site]; }       ///< ms
  [[nodiscard]] double edge_cost(std::size_t edge) const { return edge_costs_[edge]; }  ///< ms

 private:
  [[nodiscard]] double do_estimate(std::span<const Site> sites, const Plan& plan) const override;

  LatencyMeasurements measurements_;
  double base_ = 0;                    ///< ms, all sites at 16 bits
  std::vector<double> gains_;          ///< ms, by site
  std::vector<double> edge_costs_;     ///< ms, by edge
  std::vector<double> input_share_;    ///< of all sites' input elements, by site
  std::map<Precision, double> extra_;  ///< ms, all sites at this precision beyond what the model says
  double error_ = 0;
};

}  // namespace halftone
