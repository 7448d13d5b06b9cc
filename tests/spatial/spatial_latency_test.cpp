#include "halftone/spatial/spatial_latency.hpp"

#include "catch.hpp"
#include "failure.hpp"
#include "halftone/latency/roofline.hpp"
#include "halftone/latency/size.hpp"
#include "halftone/testing/check_latency_model.hpp"

using namespace halftone;

namespace {

/// 10 tera-operations a second at 16 bits, 20 at 8; memory that costs nothing.
RooflineDevice device() {
  return {.name = "toy", .source = "made up", .tera_ops = {{16, 10}, {8, 20}}, .bandwidth_gb_s = 1e9};
}

std::shared_ptr<const LatencyModel> roofline(std::int64_t batch = 1) {
  return std::make_shared<RooflineLatency>(device(), batch);
}

const RankLink kLink{.latency_us = 10, .bandwidth_gb_s = 2, .source = "made up"};

/// 3x3 over [channels, rows, 10], padding 1.
Site convolution(std::int64_t channels, std::int64_t rows, std::int64_t stride = 1) {
  const std::int64_t out = (rows - 1) / stride + 1;
  Site site;
  site.name = "conv";
  site.kind = SiteKind::Convolution;
  site.input_shape = {{0, 1}, {channels}, {rows}, {10}};
  site.output_shape = {{0, 1}, {channels}, {out}, {10}};
  site.weight_shape = {channels, channels, 3, 3};
  site.stride = {stride, 1};
  site.padding = {1, 1};
  site.dilation = {1, 1};
  site.weight_elements = 9 * channels * channels;
  site.input_elements = channels * rows * 10;
  site.output_elements = channels * out * 10;
  site.macs = site.output_elements * 9 * channels;
  return site;
}

Site linear() {
  Site site;
  site.name = "head";
  site.input_shape = {{0, 1}, {1000}};
  site.output_shape = {{0, 1}, {1000}};
  site.macs = site.weight_elements = 1'000'000;
  site.input_elements = site.output_elements = 1000;
  return site;
}

}  // namespace

TEST_CASE("each rank computes its rows and waits for those of its neighbours") {
  const std::vector<Site> sites{convolution(100, 40)};
  const SpatialLatency model(roofline(), 4, kLink);
  // 40 x 10 x 100 outputs of 900 products: 36e6, a quarter of which are 18e6 operations. A rank between two others
  // receives two rows of 1,000 numbers.
  CHECK(model.exchanged_bytes(sites[0], k16) == 4000);
  CHECK(model.exchanged_bytes(sites[0], k8) == 2000);
  CHECK(model.estimate(sites, {{k16}}) == Approx(18e6 / 10e12 * 1e3 + 0.010 + 4000 / 2e9 * 1e3));
  CHECK(model.estimate(sites, {{k8}}) == Approx(18e6 / 20e12 * 1e3 + 0.010 + 2000 / 2e9 * 1e3));
}

TEST_CASE("two ranks exchange one row each way, one rank none") {
  const Site site = convolution(100, 40);
  CHECK(SpatialLatency(roofline(), 2, kLink).exchanged_bytes(site, k16) == 2000);
  const SpatialLatency alone(roofline(), 1, kLink);
  CHECK(alone.exchanged_bytes(site, k16) == 0);
  CHECK(alone.estimate(std::vector<Site>{site}, {{k16}}) ==
        Approx(roofline()->estimate(std::vector<Site>{site}, {{k16}})));
}

TEST_CASE("the rank with most rows sets the pace, and input rows are those that windows read") {
  const SpatialLatency model(roofline(), 4, kLink);
  const Site seven = model.part(convolution(100, 7));
  CHECK(seven.output_elements == 2 * 100 * 10);  // 7 rows: at most 2 on a rank
  CHECK(seven.macs == 2 * 100 * 10 * 900);
  CHECK(seven.input_elements == 4 * 100 * 10);
  CHECK(seven.weight_elements == 9 * 100 * 100);
  const Site strided = model.part(convolution(100, 8, 2));
  CHECK(strided.output_elements == 100 * 10);  // one row, of three of the input
  CHECK(strided.input_elements == 3 * 100 * 10);
}

TEST_CASE("linear sites, products and transposed convolutions are whole on every rank; additions are split") {
  const SpatialLatency model(roofline(), 4, kLink);
  CHECK(model.part(linear()).macs == linear().macs);
  CHECK(model.exchanged_bytes(linear(), k16) == 0);
  Site transposed = convolution(10, 8);
  transposed.weight_channel_axis = 1;
  CHECK(model.part(transposed).macs == transposed.macs);
  Site addition = convolution(10, 8);
  addition.kind = SiteKind::Addition;
  CHECK(model.part(addition).input_elements == addition.input_elements / 4);
  CHECK(model.exchanged_bytes(addition, k16) == 0);
}

TEST_CASE("a batch multiplies what is exchanged, but not the latency of the link") {
  const std::vector<Site> sites{convolution(100, 40)};
  const SpatialLatency model(roofline(3), 4, kLink);
  CHECK(model.batch() == 3);
  CHECK(model.estimate(sites, {{k16}}) == Approx(3 * 18e6 / 10e12 * 1e3 + 0.010 + 3 * 4000 / 2e9 * 1e3));
}

TEST_CASE("a spatial model says that it is modelled, passes the checks of latency models and names itself") {
  const SpatialLatency model(roofline(), 4, kLink);
  CHECK(model.name() == "spatial:4:toy");
  CHECK_THAT(model.origin(), Catch::StartsWith("modelled, not measured: images split by rows over 4 ranks"));
  CHECK_THAT(model.origin(), Catch::Contains("roofline of toy"));
  const std::vector<Site> sites{convolution(100, 40), convolution(100, 7), linear()};
  const std::vector<Precision> precisions{k16, k8};
  CHECK(testing::check_latency_model(model, sites, precisions).empty());
}

TEST_CASE("links of presets have the names of roofline devices") {
  for (const auto& preset : roofline_devices()) CHECK(validate(link_of(preset.name)).empty());
  const auto failed = failure([] { (void)link_of("abacus"); });
  CHECK(failed.code == Errc::NotFound);
  CHECK_THAT(failed.text, Catch::Contains("choose from a100, a30, t4"));
}

TEST_CASE("a convolution that does not say how its windows lie is refused by name") {
  Site site = convolution(10, 8);
  site.stride.clear();
  CHECK_THAT(failure([&] { (void)SpatialLatency(roofline(), 2, kLink).part(site); }).text,
             Catch::Contains("site conv is a convolution without stride"));
}

TEST_CASE("ranks, links and device models that make no sense are refused") {
  CHECK(failure([] { SpatialLatency(roofline(), 0, kLink); }).code == Errc::InvalidArgument);
  CHECK(failure([] { SpatialLatency(nullptr, 2, kLink); }).code == Errc::InvalidArgument);
  CHECK_THAT(failure([] { SpatialLatency(std::make_shared<SizeLatency>(), 2, kLink); }).text,
             Catch::Contains("size in x all-16"));
  CHECK_THAT(failure([] { SpatialLatency(roofline(), 2, {.latency_us = -1, .bandwidth_gb_s = 0}); }).text,
             Catch::Contains("latency_us is -1") && Catch::Contains("bandwidth_gb_s is 0"));
}
