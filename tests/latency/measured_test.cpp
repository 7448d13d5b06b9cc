#include "halftone/latency/measured.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "catch.hpp"
#include "failure.hpp"
#include "halftone/search/bisection.hpp"
#include "search/fakes.hpp"
#include "synthetic.hpp"

using namespace halftone;
using namespace halftone::fakes;
using Catch::Contains;

namespace {

/// Errors of `latency` on plans that it was not fitted to, as shares, from the least to the greatest.
std::vector<double> errors(const MeasuredLatency& latency, Synthetic& truth) {
  std::vector<double> list(201);
  for (double& error : list) {
    const Plan plan = truth.random_plan();
    error = std::abs(latency.estimate(truth.sites, plan) / truth.time(plan) - 1);
  }
  std::sort(list.begin(), list.end());
  return list;
}

/// Sites from the least to the greatest gain.
std::vector<std::size_t> ranking(const std::vector<double>& gains) {
  std::vector<std::size_t> order(gains.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return gains[a] < gains[b]; });
  return order;
}

Ordering as_listed(const Plan&, Precision, const std::vector<std::size_t>& sites) { return sites; }

}  // namespace

TEST_CASE("many measured plans give back what every site gains and every conversion costs") {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Synthetic truth(24, seed);
    const MeasuredLatency latency(truth.measure(120), truth.sites);
    std::vector<double> gains;
    for (std::size_t i = 0; i < truth.sites.size(); ++i) {
      gains.push_back(latency.site_gain(i));
      CHECK(gains.back() == Approx(truth.gains[i]).margin(1e-3));
    }
    for (std::size_t e = 0; e < truth.edges.size(); ++e)
      CHECK(latency.edge_cost(e) == Approx(truth.edge_cost(e)).margin(1e-3));
    for (std::size_t k = 1; k < gains.size(); ++k) {
      const auto order = ranking(gains);
      CHECK(truth.gains[order[k]] > truth.gains[order[k - 1]] - 1e-3);
    }
    CHECK(errors(latency, truth).back() < 1e-3);
    CHECK(latency.error() < 1e-3);
  }
}

TEST_CASE("half as many plans as sites, and eight, predict most plans within a hundredth") {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Synthetic truth(50, seed);
    const MeasuredLatency latency(truth.measure(33), truth.sites);
    CHECK(errors(latency, truth)[100] < 0.01);
    CHECK(errors(latency, truth).back() < 0.04);
    CHECK(latency.error() < 0.01);
    CHECK(latency.error() > 0);
  }
}

TEST_CASE("the search leaves a site that loses, and is then faster than all at 8 bits") {
  Synthetic truth(24);
  const MeasuredLatency latency(truth.measure(60), truth.sites);
  const Plan baseline = Plan::uniform(24, k16);
  CHECK(latency.site_gain(5) < 0);
  CHECK(latency.gain(truth.sites, baseline, 5, k8) < 0);
  CHECK(latency.gain(truth.sites, baseline, 3, k8) < 0);  // gains nothing and is converted
  FunctionEvaluator evaluator([](const Plan&) { return true; });
  const std::vector<Precision> precisions{k16, k8};
  const OrderFn order = as_listed;
  const SearchResult found = Bisection().search({truth.sites, precisions, order, latency}, evaluator);
  CHECK(found.best[5] == k16);
  CHECK(truth.time(found.best) < truth.time(Plan::uniform(24, k8)));
}

TEST_CASE("plans at one other precision take what was measured") {
  Synthetic truth(12);
  LatencyMeasurements measured = truth.measure(30);
  measured.uniform = {{k4, 0.5 * truth.base}, {kW4A8, 0.9 * truth.base}, {{8, 16}, 1.1 * truth.base}};
  const MeasuredLatency latency(measured, truth.sites);
  for (const auto& [precision, time] : measured.uniform)
    CHECK(latency.estimate(truth.sites, Plan::uniform(12, precision)) == Approx(time).epsilon(1e-12));
  CHECK(latency.estimate(truth.sites, Plan::uniform(12, k8)) ==
        Approx(truth.time(Plan::uniform(12, k8))).epsilon(0.01));
  // Half-way there, half of the difference.
  Plan mixed = Plan::uniform(12, k8);
  for (std::size_t i = 0; i < 6; ++i) mixed[i] = k4;
  const double eight = latency.estimate(truth.sites, Plan::uniform(12, k8));
  const double four = latency.estimate(truth.sites, Plan::uniform(12, k4));
  double share = 0;
  double all = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    all += static_cast<double>(truth.sites[i].input_elements);
    if (i < 6) share += static_cast<double>(truth.sites[i].input_elements);
  }
  CHECK(latency.estimate(truth.sites, mixed) == Approx(eight + (four - eight) * share / all));
}

TEST_CASE("networks with little to tell sites apart by are fitted all the same") {
  const auto check = [](Synthetic truth) {
    LatencyMeasurements measured = truth.measure(12);
    measured.uniform = {{k4, 0.5 * truth.base}};
    const MeasuredLatency latency(measured, truth.sites);
    CHECK(errors(latency, truth).back() < 0.01);
    CHECK(latency.estimate(truth.sites, Plan::uniform(truth.sites.size(), k4)) == Approx(0.5 * truth.base));
  };
  SECTION("one site") { check(Synthetic(1)); }
  SECTION("two sites") { check(Synthetic(2)); }
  SECTION("all sites alike, without conversions") {
    Synthetic truth(5);
    for (Site& site : truth.sites) site = truth.sites[0];
    truth.gains.assign(5, 0.1);
    truth.edges.clear();
    check(std::move(truth));
  }
  SECTION("nothing is known of the sites' sizes") {
    Synthetic truth(5);
    for (Site& site : truth.sites) site.macs = site.input_elements = site.output_elements = 0;
    for (SiteEdge& edge : truth.edges) edge.elements = 0;
    truth.gains.assign(5, 0.1);
    check(std::move(truth));
  }
}

TEST_CASE("three plans that are all alike give a model, if a poor one") {
  Synthetic truth(8);
  LatencyMeasurements measured = truth.measure(0);
  measured.samples = {measured.samples[0], measured.samples[0], measured.samples[0]};
  const MeasuredLatency latency(measured, truth.sites);
  CHECK(latency.estimate(truth.sites, Plan::uniform(8, k8)) == Approx(truth.base));
}

TEST_CASE("a measured latency says what it is and where it comes from") {
  Synthetic truth(10);
  LatencyMeasurements measured = truth.measure(30);
  measured.batch = 4;
  measured.threads = 2;
  const MeasuredLatency latency(measured, truth.sites);
  CHECK(latency.name() == "measured:fake");
  CHECK(latency.unit() == "ms");
  CHECK(latency.batch() == 4);
  CHECK_THAT(latency.origin(), Catch::StartsWith("predicted from 32 networks measured in fake 1.2 on a CPU, batch 4, 2 "
                                                 "threads; median error ") &&
                                   Catch::EndsWith(" % on networks left out"));
  CHECK(latency.measurements() == measured);
}

TEST_CASE("measurements that do not fit are refused") {
  Synthetic truth(4);
  const LatencyMeasurements good = truth.measure(3);
  const auto refusal = [&](const auto& damage) {
    LatencyMeasurements bad = good;
    damage(bad);
    const Failure f = failure([&] { (void)MeasuredLatency(bad, truth.sites); });
    CHECK(f.code == Errc::InvalidArgument);
    return f.text;
  };
  CHECK(refusal([](auto& bad) { bad.samples.resize(2); }) ==
        "measured latency: there are 2 samples: at least 3 are needed");
  CHECK_THAT(refusal([](auto& bad) { bad.sites[1] = "other"; }), Contains("a network with other sites"));
  CHECK_THAT(refusal([](auto& bad) { bad.sites.pop_back(); }), Contains("a network with other sites"));
  CHECK_THAT(refusal([](auto& bad) { bad.samples[1].plan.precisions.pop_back(); }), Contains("one precision a site"));
  CHECK_THAT(refusal([](auto& bad) { bad.samples[1].milliseconds = -2; }), Contains("took -2 ms"));
  CHECK_THAT(refusal([](auto& bad) { bad.samples[1].milliseconds = std::nan(""); }), Contains("nan ms"));
  CHECK_THAT(refusal([](auto& bad) { bad.edges[0].to = 4; }), Contains("a site that does not exist"));
}
