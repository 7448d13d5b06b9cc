#include "halftone/latency/latency_model.hpp"

#include <limits>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

TEST_CASE("an estimate that is not a positive number is an error that names model and plan") {
  for (const double cost : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    const auto fixed = make_latency_model("fixed", "ms", [cost](std::span<const Site>, const Plan&) { return cost; });
    const Failure f = failure([&] { return fixed->estimate(std::vector<Site>(2), Plan{{k8, k4}}); });
    CHECK(f.code == Errc::NonFinite);
    CHECK_THAT(f.text, Contains("latency model fixed") && Contains("\"8 4\""));
  }
}

TEST_CASE("a latency model can be a function of a plan") {
  const auto bits = [](std::span<const Site> sites, const Plan& plan) {
    double sum = 0;
    for (std::size_t i = 0; i < sites.size(); ++i) sum += plan[i].weight_bits;
    return sum;
  };
  const auto model = make_latency_model("bits", "bits of weight", bits, 4);
  CHECK(model->name() == "bits");
  CHECK(model->unit() == "bits of weight");
  CHECK(model->batch() == 4);
  CHECK(model->origin() == "modelled by \"bits\", not measured, batch 4");
  const std::vector<Site> sites(2);
  CHECK(model->estimate(sites, {{k16, k8}}) == 24);
  CHECK(model->gain(sites, {{k16, k8}}, 0, k4) == 12);
  CHECK(failure([] { (void)make_latency_model("none", "ms", nullptr); }).code == Errc::InvalidArgument);
}
