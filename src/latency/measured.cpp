#include "halftone/latency/measured.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "halftone/core/error.hpp"
#include "latency/ridge.hpp"

namespace halftone {
namespace {

using internal::Matrix;
using internal::Vector;

bool in_integers(Precision p) { return p.weight_bits < 16 && p.activation_bits < 16; }

bool is_depthwise(const Site& site) { return site.groups > 1 && site.groups == site.weight_shape[0]; }

/// The columns that describe a plan: first those shared by all sites and edges, then one a site.
class Features {
 public:
  static constexpr Eigen::Index kShared = 6;

  Features(std::span<const Site> sites, const std::vector<SiteEdge>& edges) : edges_(edges) {
    const auto count = static_cast<double>(sites.size());
    double macs = 0;
    double elements = 0;
    for (const Site& site : sites) {
      macs += static_cast<double>(site.macs);
      elements += static_cast<double>(site.input_elements + site.output_elements);
    }
    for (const Site& site : sites)
      site_.push_back({1, static_cast<double>(site.macs) * count / macs,
                       static_cast<double>(site.input_elements + site.output_elements) * count / elements,
                       is_depthwise(site) ? 1.0 : 0.0});
    double mean = 0;
    for (const SiteEdge& edge : edges) mean += edge.elements / static_cast<double>(edges.size());
    for (const SiteEdge& edge : edges) edge_.push_back({1, mean > 0 ? edge.elements / mean : 0});
  }

  [[nodiscard]] Eigen::Index columns() const { return kShared + std::ssize(site_); }

  [[nodiscard]] Vector row(const Plan& plan) const {
    Vector row = Vector::Zero(columns());
    for (std::size_t i = 0; i < site_.size(); ++i) {
      if (!in_integers(plan[i])) continue;
      for (std::size_t k = 0; k < site_[i].size(); ++k) row[static_cast<Eigen::Index>(k)] -= site_[i][k];
      row[kShared + static_cast<Eigen::Index>(i)] = -1;
    }
    for (std::size_t e = 0; e < edges_.size(); ++e)
      if (in_integers(plan[edges_[e].from]) != in_integers(plan[edges_[e].to]))
        for (std::size_t k = 0; k < 2; ++k) row[static_cast<Eigen::Index>(4 + k)] += edge_[e][k];
    return row;
  }

  [[nodiscard]] double gain(const Vector& coefficients, std::size_t site) const {
    double gain = coefficients[kShared + static_cast<Eigen::Index>(site)];
    for (std::size_t k = 0; k < site_[site].size(); ++k)
      gain += coefficients[static_cast<Eigen::Index>(k)] * site_[site][k];
    return gain;
  }

  [[nodiscard]] double cost(const Vector& coefficients, std::size_t edge) const {
    return coefficients[4] * edge_[edge][0] + coefficients[5] * edge_[edge][1];
  }

 private:
  const std::vector<SiteEdge>& edges_;
  std::vector<std::array<double, 4>> site_;
  std::vector<std::array<double, 2>> edge_;
};

void check(const LatencyMeasurements& measured, std::span<const Site> sites) {
  const auto refuse = [](const std::string& why) { throw Error(Errc::InvalidArgument, "measured latency: " + why); };
  if (measured.samples.size() < 3)
    refuse(message("there are ", measured.samples.size(), " samples: at least 3 are needed"));
  bool same = measured.sites.size() == sites.size();
  for (std::size_t i = 0; same && i < sites.size(); ++i) same = measured.sites[i] == sites[i].name;
  if (!same) refuse("it was measured of a network with other sites");
  for (const LatencySample& sample : measured.samples) {
    if (sample.plan.size() != sites.size()) refuse("a sample's plan has not one precision a site");
    if (!std::isfinite(sample.milliseconds) || sample.milliseconds <= 0)
      refuse(message("a sample took ", sample.milliseconds, " ms: a positive number is needed"));
  }
  for (const SiteEdge& edge : measured.edges)
    if (edge.from >= sites.size() || edge.to >= sites.size()) refuse("an edge leads to a site that does not exist");
}

}  // namespace

MeasuredLatency::MeasuredLatency(LatencyMeasurements measurements, std::span<const Site> sites)
    : measurements_(std::move(measurements)) {
  check(measurements_, sites);
  const Features features(sites, measurements_.edges);
  const auto samples = std::ssize(measurements_.samples);
  Matrix rows(samples, features.columns());
  Vector times(samples);
  for (Eigen::Index k = 0; k < samples; ++k) {
    const LatencySample& sample = measurements_.samples[static_cast<std::size_t>(k)];
    rows.row(k) = features.row(sample.plan);
    times[k] = sample.milliseconds;
  }
  const internal::RidgeFit fit = internal::fit_ridge(rows, times, Features::kShared);
  base_ = fit.intercept;
  for (std::size_t i = 0; i < sites.size(); ++i) gains_.push_back(features.gain(fit.coefficients, i));
  for (std::size_t e = 0; e < measurements_.edges.size(); ++e)
    edge_costs_.push_back(features.cost(fit.coefficients, e));
  std::vector<double> errors;
  for (Eigen::Index k = 0; k < samples; ++k) errors.push_back(std::abs(fit.left_out[k]) / times[k]);
  std::nth_element(errors.begin(), errors.begin() + samples / 2, errors.end());
  error_ = errors[static_cast<std::size_t>(samples / 2)];

  double elements = 0;
  for (const Site& site : sites) elements += static_cast<double>(site.input_elements);
  for (const Site& site : sites) input_share_.push_back(static_cast<double>(site.input_elements) / elements);
  for (const auto& [precision, time] : measurements_.uniform)
    extra_[precision] = time - do_estimate(sites, Plan::uniform(sites.size(), precision));
}

std::string MeasuredLatency::name() const {
  return "measured:" + measurements_.engine.substr(0, measurements_.engine.find(' '));
}

std::string MeasuredLatency::origin() const {
  return message("predicted from ", measurements_.samples.size(), " networks measured in ", measurements_.engine,
                 " on ", measurements_.machine, ", batch ", measurements_.batch, ", ", measurements_.threads,
                 measurements_.threads == 1 ? " thread" : " threads", "; median error ", std::round(error_ * 1000) / 10,
                 " % on networks left out");
}

double MeasuredLatency::do_estimate(std::span<const Site> /*sites*/, const Plan& plan) const {
  double time = base_;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (in_integers(plan[i])) time -= gains_[i];
    if (const auto extra = extra_.find(plan[i]); extra != extra_.end()) time += extra->second * input_share_[i];
  }
  for (std::size_t e = 0; e < edge_costs_.size(); ++e) {
    const SiteEdge& edge = measurements_.edges[e];
    if (in_integers(plan[edge.from]) != in_integers(plan[edge.to])) time += edge_costs_[e];
  }
  return std::max(time, 1e-3 * base_);
}

}  // namespace halftone
