#include "halftone/latency/size.hpp"

#include <vector>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

std::vector<Site> two_sites() {
  std::vector<Site> sites(2);
  sites[0].macs = 100;
  sites[1].macs = 300;
  return sites;
}

}  // namespace

TEST_CASE("size is bit-operations relative to all-16, weighted by MACs") {
  const SizeLatency size;
  const auto sites = two_sites();
  CHECK(size.estimate(sites, {{k16, k16}}) == 1);
  CHECK(size.estimate(sites, {{k8, k8}}) == 0.25);
  CHECK(size.estimate(sites, {{k4, k4}}) == 0.0625);
  CHECK(size.estimate(sites, {{kW4A8, k16}}) == 0.25 * 0.125 + 0.75);
  CHECK(size.unit() == "x all-16");
}

TEST_CASE("the gain of a site is what the plan saves when it alone is lowered") {
  const auto sites = two_sites();
  CHECK(SizeLatency().gain(sites, {{k16, k16}}, 1, k8) == Approx(0.75 * 0.75));
  CHECK(SizeLatency().gain(sites, {{k8, k8}}, 0, k16) < 0);
}

TEST_CASE("a latency model is asked about plans of the right length only") {
  const Failure f = failure([] { return SizeLatency().estimate(two_sites(), Plan{{k8}}); });
  CHECK(f.code == Errc::InvalidArgument);
  CHECK_THAT(f.text, Contains("latency model size") && Contains("1 precisions for 2 sites"));
}
