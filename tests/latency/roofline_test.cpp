#include "halftone/latency/roofline.hpp"

#include <limits>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// 10 tera-operations a second at 16 bits, 20 at 8; 100 GB/s.
RooflineDevice device() {
  return {.name = "toy", .source = "made up", .tera_ops = {{16, 10}, {8, 20}}, .bandwidth_gb_s = 100};
}

Site site(std::int64_t macs, std::int64_t weights, std::int64_t inputs, std::int64_t outputs) {
  Site s;
  s.name = "site";
  s.macs = macs;
  s.weight_elements = weights;
  s.input_elements = inputs;
  s.output_elements = outputs;
  return s;
}

// 2e9 MACs are 4e9 operations: 0.4 ms at 10e12, 0.2 ms at 20e12. Its bytes take 1e6 / 100e9 s = 0.01 ms at most.
const std::vector<Site> kComputeBound{site(2'000'000'000, 200'000, 200'000, 100'000)};
// (4e6 weights + 1e6 inputs + 1e6 outputs) x 2 bytes = 12e6 bytes: 0.12 ms. Its operations take 0.0002 ms at most.
const std::vector<Site> kMemoryBound{site(1'000'000, 4'000'000, 1'000'000, 1'000'000)};

}  // namespace

TEST_CASE("a compute-bound site takes its operations over the peak") {
  const RooflineLatency model(device());
  CHECK(model.estimate(kComputeBound, {{k16}}) == Approx(0.4));
  CHECK(model.estimate(kComputeBound, {{k8}}) == Approx(0.2));
}

TEST_CASE("a memory-bound site takes its bytes over the bandwidth, with outputs at 16 bits") {
  const RooflineLatency model(device());
  CHECK(model.estimate(kMemoryBound, {{k16}}) == Approx(0.12));
  CHECK(model.estimate(kMemoryBound, {{k8}}) == Approx((4e6 + 1e6 + 2e6) / 100e9 * 1e3));
  CHECK(model.estimate(kMemoryBound, {{kW4A8}}) == Approx((2e6 + 1e6 + 2e6) / 100e9 * 1e3));
}

TEST_CASE("mixed widths compute at the wider one, and missing units at the next wider") {
  const RooflineLatency model(device());
  CHECK(model.estimate(kComputeBound, {{kW4A8}}) == Approx(0.2));
  CHECK(model.estimate(kComputeBound, {{k4}}) == Approx(0.2));
  CHECK(model.estimate(kComputeBound, {{Precision{8, 16}}}) == Approx(0.4));
}

TEST_CASE("a batch multiplies activations and operations but not weights; sites add up") {
  const RooflineLatency model(device(), 3);
  CHECK(model.estimate(kComputeBound, {{k16}}) == Approx(1.2));
  CHECK(model.estimate(kMemoryBound, {{k16}}) == Approx((8e6 + 6e6 + 6e6) / 100e9 * 1e3));
  CHECK(model.estimate(std::vector<Site>{kComputeBound[0], kMemoryBound[0]}, {{k16, k16}}) == Approx(1.2 + 0.2));
}

TEST_CASE("the A100 preset gives a value computed by hand") {
  // A 3x3 convolution of 256 to 256 channels on 14 x 14 at batch 64: 115,605,504 MACs a sample, 589,824 weights,
  // 50,176 inputs and outputs a sample. At 4 bits: 2 x 115,605,504 x 64 / 1,248e12 = 11.857 us of arithmetic against
  // (589,824 / 2 + 64 x 50,176 x (1/2 + 2)) / 1,555e9 = 5.352 us of traffic. At 16: 47.428 us against 9.019 us.
  const auto& a100 = roofline_devices().front();
  REQUIRE(a100.name == "a100");
  const RooflineLatency model(a100, 64);
  const std::vector<Site> conv{site(115'605'504, 589'824, 50'176, 50'176)};
  CHECK(model.estimate(conv, {{k4}}) == Approx(0.011857).epsilon(1e-4));
  CHECK(model.estimate(conv, {{k16}}) == Approx(0.047428).epsilon(1e-4));
}

TEST_CASE("every preset is usable, says where it comes from, and gains at each step down") {
  for (const RooflineDevice& preset : roofline_devices()) {
    const RooflineLatency model(preset);
    CHECK(model.name() == "roofline:" + preset.name);
    CHECK(model.unit() == "ms");
    CHECK_THAT(model.origin(), Contains("not measured") && Contains("datasheet"));
    const double at16 = model.estimate(kComputeBound, {{k16}});
    const double at8 = model.estimate(kComputeBound, {{k8}});
    CHECK(at16 > at8);
    CHECK(at8 > model.estimate(kComputeBound, {{k4}}));
  }
}

TEST_CASE("a device without a 16-bit peak or with senseless rates is refused") {
  const auto refused = [](RooflineDevice bad, std::int64_t batch = 1) {
    const Failure f = failure([&] { return RooflineLatency(bad, batch); });
    CHECK(f.code == Errc::InvalidArgument);
    CHECK_THAT(f.text, Contains("\"toy\""));
    return f.text;
  };
  RooflineDevice bad = device();
  bad.tera_ops.erase(16);
  CHECK_THAT(refused(bad), Contains("no 16-bit peak"));
  for (const double rate : {0.0, -1.0, std::numeric_limits<double>::infinity()}) {
    bad = device();
    bad.tera_ops[8] = rate;
    CHECK_THAT(refused(bad), Contains("8-bit peak"));
    bad = device();
    bad.bandwidth_gb_s = rate;
    CHECK_THAT(refused(bad), Contains("bandwidth"));
  }
  CHECK_THAT(refused(device(), 0), Contains("batch size 0"));
}
