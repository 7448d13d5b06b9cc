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

bool is_depthwise(const Site& site) {
  return site.has_weight() && site.groups > 1 && site.groups == site.weight_shape[0];
}

/// `amount(item)` of every item as a multiple of their mean; ones where that is zero.
template <class Items, class Amount>
std::vector<double> relative(const Items& items, const Amount& amount) {
  double sum = 0;
  for (const auto& item : items) sum += static_cast<double>(amount(item));
  const auto count = static_cast<double>(std::size(items));
  std::vector<double> multiples;
  for (const auto& item : items) multiples.push_back(sum > 0 ? static_cast<double>(amount(item)) * count / sum : 1);
  return multiples;
}

/// The columns that describe a plan: first those shared by all sites and edges, then one a site.
class Features {
 public:
  static constexpr std::size_t kSite = 5;  ///< a to e of the header
  static constexpr std::size_t kEdge = 2;
  static constexpr auto kShared = static_cast<Eigen::Index>(kSite + kEdge);

  Features(std::span<const Site> sites, const std::vector<SiteEdge>& edges) : edges_(edges) {
    const auto macs = relative(sites, [](const Site& site) { return site.macs; });
    const auto elements = relative(sites, [](const Site& site) { return site.input_elements + site.output_elements; });
    for (std::size_t i = 0; i < sites.size(); ++i)
      site_.push_back({1, macs[i], elements[i], is_depthwise(sites[i]) ? 1.0 : 0.0, sites[i].has_weight() ? 0.0 : 1.0});
    for (const double size : relative(edges, [](const SiteEdge& edge) { return edge.elements; }))
      edge_.push_back({1, size});
  }

  [[nodiscard]] Eigen::Index columns() const { return kShared + std::ssize(site_); }

  [[nodiscard]] Vector row(const Plan& plan) const {
    Vector row = Vector::Zero(columns());
    for (std::size_t i = 0; i < site_.size(); ++i) {
      if (!in_integers(plan[i])) continue;
      for (std::size_t k = 0; k < kSite; ++k) row[static_cast<Eigen::Index>(k)] -= site_[i][k];
      row[kShared + static_cast<Eigen::Index>(i)] = -1;
    }
    for (std::size_t e = 0; e < edges_.size(); ++e)
      if (in_integers(plan[edges_[e].from]) != in_integers(plan[edges_[e].to]))
        for (std::size_t k = 0; k < kEdge; ++k) row[static_cast<Eigen::Index>(kSite + k)] += edge_[e][k];
    return row;
  }

  [[nodiscard]] double gain(const Vector& coefficients, std::size_t site) const {
    double gain = coefficients[kShared + static_cast<Eigen::Index>(site)];
    for (std::size_t k = 0; k < kSite; ++k) gain += coefficients[static_cast<Eigen::Index>(k)] * site_[site][k];
    return gain;
  }

  [[nodiscard]] double cost(const Vector& coefficients, std::size_t edge) const {
    double cost = 0;
    for (std::size_t k = 0; k < kEdge; ++k) cost += coefficients[static_cast<Eigen::Index>(kSite + k)] * edge_[edge][k];
    return cost;
  }

 private:
  const std::vector<SiteEdge>& edges_;
  std::vector<std::array<double, kSite>> site_;
  std::vector<std::array<double, kEdge>> edge_;
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

  input_share_ = relative(sites, [](const Site& site) { return site.input_elements; });
  for (double& share : input_share_) share /= static_cast<double>(sites.size());
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
