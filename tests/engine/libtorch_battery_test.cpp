#include <ATen/ATen.h>

#include <algorithm>
#include <set>
#include <string>

#include "catch.hpp"
#include "export/battery.hpp"
#include "halftone/engine/engine.hpp"

using namespace halftone;

namespace {

/// The largest difference as a share of the largest magnitude.
double difference(const at::Tensor& actual, const at::Tensor& wanted) {
  const at::Tensor w = wanted.to(at::kDouble);
  const double magnitude = std::max(1e-3, w.abs().max().item<double>());
  return (actual.to(at::kDouble) - w).abs().max().item<double>() / magnitude;
}

battery::Tensors run(const battery::Network& network, const Plan& plan, FloatType type) {
  return make_libtorch_engine()
      ->compile(network.model, plan, network.calibration, {.batch = battery::kBatch, .float_type = type})
      ->run(network.inputs);
}

}  // namespace

TEST_CASE("LibTorch computes what the simulation does, network by network") {
  for (const auto& network : battery::all()) {
    CAPTURE(network.name);
    const std::size_t sites = network.model.sites.size();
    for (const Plan& plan : {Plan::uniform(sites, k16), Plan::uniform(sites, k8), battery::mixed_plan(sites)}) {
      CAPTURE(to_string(plan));
      const auto wanted = battery::reference(network, plan);
      const auto actual = run(network, plan, FloatType::Float32);
      REQUIRE(actual.size() == wanted.size());
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        REQUIRE(actual[i].sizes() == wanted[i].sizes());
        CHECK(actual[i].scalar_type() == wanted[i].scalar_type());
        CHECK(difference(actual[i], wanted[i]) < 1e-4);
      }
    }
  }
}

TEST_CASE("in bfloat16 LibTorch stays within what 8 bits of mantissa allow") {
  // Where an output jumps (floors, comparisons), the smallest difference may become a whole one.
  const std::set<std::string> jumping{"arithmetic", "choices", "floor_division", "functions", "whole_numbers"};
  for (const auto& network : battery::all()) {
    CAPTURE(network.name);
    const std::size_t sites = network.model.sites.size();
    for (const Plan& plan : {Plan::uniform(sites, k16), Plan::uniform(sites, k8)}) {
      const auto wanted = battery::reference(network, plan);
      const auto actual = run(network, plan, FloatType::BFloat16);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        CAPTURE(i, to_string(plan));
        REQUIRE(actual[i].sizes() == wanted[i].sizes());
        if (!jumping.contains(network.name)) CHECK(difference(actual[i], wanted[i]) < 0.03);
      }
    }
  }
}
