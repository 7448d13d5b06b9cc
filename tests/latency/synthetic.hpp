#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "halftone/core/error.hpp"
#include "halftone/latency/measured.hpp"

namespace halftone::fakes {

/// A network whose times are known: a chain with a shortcut past every other site. Sites gain by their size, each a
/// little more or less; the fourth, depthwise, gains nothing, and the sixth loses.
struct Synthetic {
  explicit Synthetic(std::size_t count, unsigned seed = 1) : generator(seed) {
    for (std::size_t i = 0; i < count; ++i) {
      Site site;
      site.name = message("site", i);
      site.weight_shape = {16, 16, 3, 3};
      site.macs = draw(1000, 5000);
      site.input_elements = draw(100, 900);
      site.output_elements = draw(100, 900);
      gains.push_back(0.05 + 4e-5 * static_cast<double>(site.macs) + 1e-3 * static_cast<double>(draw(0, 40)));
      sites.push_back(std::move(site));
    }
    if (count > 5) {
      sites[3].groups = 16;
      gains[3] = 0;
      gains[5] = -0.2;
    }
    for (std::size_t i = 1; i < count; ++i) {
      edges.push_back({i - 1, i, static_cast<double>(sites[i].input_elements)});
      if (i > 2 && i % 2 == 0) edges.push_back({i - 2, i, static_cast<double>(sites[i].input_elements)});
    }
    for (const double gain : gains) base += 2 * std::max(gain, 0.1);
  }

  [[nodiscard]] double edge_cost(std::size_t edge) const { return 0.01 + 2e-5 * edges[edge].elements; }

  [[nodiscard]] double time(const Plan& plan) const {
    double time = base;
    for (std::size_t i = 0; i < plan.size(); ++i)
      if (in_integers(plan[i])) time -= gains[i];
    for (std::size_t e = 0; e < edges.size(); ++e)
      if (in_integers(plan[edges[e].from]) != in_integers(plan[edges[e].to])) time += edge_cost(e);
    return time;
  }

  Plan random_plan() {
    Plan plan = Plan::uniform(sites.size(), k16);
    const std::int64_t percent = draw(20, 80);
    for (Precision& precision : plan.precisions)
      if (draw(0, 99) < percent) precision = k8;
    return plan;
  }

  /// All-16, all-8 and `plans` random plans.
  LatencyMeasurements measure(int plans) {
    LatencyMeasurements measured{.fingerprint = "f", .engine = "fake 1.2", .machine = "a CPU", .edges = edges};
    for (const Site& site : sites) measured.sites.push_back(site.name);
    const auto add = [&](const Plan& plan) { measured.samples.push_back({plan, time(plan)}); };
    for (const Precision precision : {k16, k8}) add(Plan::uniform(sites.size(), precision));
    for (int k = 0; k < plans; ++k) add(random_plan());
    return measured;
  }

  std::int64_t draw(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(generator() % static_cast<std::uint64_t>(most - least + 1));
  }

  std::mt19937 generator;
  std::vector<Site> sites;
  std::vector<SiteEdge> edges;
  std::vector<double> gains;  ///< ms
  double base = 0;            ///< ms, all sites at 16 bits
};

}  // namespace halftone::fakes
