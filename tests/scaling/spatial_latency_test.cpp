#include "halftone/scaling/spatial_latency.hpp"

#include <memory>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "halftone/latency/roofline.hpp"
#include "halftone/testing/check_latency_model.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// 3x3 from 8 channels of `in` x `in` to 8 of `out` x `out`.
Site convolution(std::int64_t in, std::int64_t out) {
  Site site;
  site.name = "conv";
  site.kind = SiteKind::Convolution;
  site.input_shape = {{0, 1}, {8}, {in}, {in}};
  site.output_shape = {{0, 1}, {8}, {out}, {out}};
  site.weight_shape = {8, 8, 3, 3};
  site.weight_elements = 8 * 8 * 9;
  site.input_elements = 8 * in * in;
  site.output_elements = 8 * out * out;
  site.macs = site.weight_elements * out * out;
  return site;
}

Site linear() {
  Site site;
  site.name = "fc";
  site.macs = site.weight_elements = 1000;
  site.input_elements = 100;
  site.output_elements = 10;
  return site;
}

/// Operations alone count: 10^9 a second at 16 bits, twice as many at 8.
std::shared_ptr<const LatencyModel> device(std::int64_t batch = 1) {
  return std::make_shared<RooflineLatency>(
      RooflineDevice{.name = "toy", .source = "made up", .tera_ops = {{16, 0.001}, {8, 0.002}}, .bandwidth_gb_s = 1e6},
      batch);
}

constexpr Link kLink{.bandwidth_gb_s = 1, .latency_us = 10};

}  // namespace

TEST_CASE("split convolutions cost their largest part and a halo that shrinks with the bits") {
  const SpatialLatency model(device(), 4, kLink);
  const std::vector<Site> sites{convolution(10, 10)};
  // 3 of 10 rows; 2 rows of 10 x 8 numbers.
  const double macs = 8 * 8 * 9 * 100 * 0.3;
  CHECK(model.estimate(sites, {{k16}}) == Approx(2 * macs / 1e9 * 1e3 + 10e-3 + 160 * 2 / 1e9 * 1e3));
  CHECK(model.estimate(sites, {{k8}}) == Approx(2 * macs / 2e9 * 1e3 + 10e-3 + 160 * 1 / 1e9 * 1e3));
  // Stride 2: one row, and of two samples twice as much of all but the latency.
  const SpatialLatency two(device(2), 4, kLink);
  CHECK(two.estimate(std::vector{convolution(16, 8)}, {{k16}}) ==
        Approx(2 * (2 * 8 * 8 * 9 * 16.0 / 1e9 * 1e3 + 128 * 2 / 1e9 * 1e3) + 10e-3));
}

TEST_CASE("linear layers, images of one row and one part cost what they cost on one device") {
  const std::vector<Site> whole{linear(), convolution(3, 1)};
  CHECK(SpatialLatency(device(), 4, kLink).estimate(whole, Plan::uniform(2, k16)) ==
        Approx(device()->estimate(whole, Plan::uniform(2, k16))));
  const std::vector<Site> image{convolution(32, 32)};
  CHECK(SpatialLatency(device(), 1, kLink).estimate(image, {{k16}}) == Approx(device()->estimate(image, {{k16}})));
}

TEST_CASE("a spatial model behaves as latency models do, and says what it is") {
  const SpatialLatency model(device(2), 2, kLink);
  const std::vector<Site> sites{convolution(32, 32), convolution(32, 16), linear()};
  CHECK(testing::check_latency_model(model, sites, std::vector{k16, k8}).empty());
  CHECK(model.name() == "spatial:2:roofline:toy");
  CHECK_THAT(model.origin(), Contains("modelled, not measured") && Contains("over 2 devices"));
  CHECK(model.batch() == 2);
}

TEST_CASE("a spatial model that makes no sense is refused with every reason") {
  const Failure bad = failure([] { SpatialLatency(nullptr, 0, {}); });
  CHECK(bad.code == Errc::InvalidArgument);
  CHECK_THAT(bad.text, Contains("parts is 0") && Contains("one_device is null") && Contains("link.bandwidth_gb_s"));
  const std::shared_ptr<const LatencyModel> cycles =
      make_latency_model("cycles", "cycles", [](std::span<const Site>, const Plan&) { return 1.0; });
  CHECK_THAT(failure([&] { SpatialLatency(cycles, 2, kLink); }).text, Contains("is in cycles: ms is needed"));
}
