#include "halftone/scaling/workload.hpp"

#include "catch.hpp"

using namespace halftone;

TEST_CASE("ResNet-50 has the parameters and multiply-accumulates that are known of it") {
  const Workload workload = resnet50_workload();
  CHECK(workload.parameters == 25557032);  // as torchvision counts them, and architectures_test.cpp
  CHECK(workload.forward_macs == Approx(4.089e9).epsilon(1e-3));
  CHECK(workload.convolutions.size() == 53);
  CHECK(validate(workload).empty());
}

TEST_CASE("SSD-300 has maps of 38 to 1 rows, which make its 8,732 boxes") {
  const Workload workload = ssd300_workload();
  CHECK(validate(workload).empty());
  std::int64_t boxes = 0;
  for (const ConvolutionShape& layer : workload.convolutions)
    if (layer.out_channels % 85 == 0) boxes += layer.out_channels / 85 * layer.output_size * layer.output_size;
  CHECK(boxes == 8732);
  // By hand: ResNet-34's stem and first three layers hold 8,170,304 parameters.
  double trunk = 0;
  for (std::size_t i = 0; i < 29; ++i) {
    const ConvolutionShape& layer = workload.convolutions[i];
    trunk += static_cast<double>(layer.out_channels * (layer.in_channels * layer.kernel * layer.kernel + 2));
  }
  CHECK(trunk == 8170304);
}

TEST_CASE("the text networks have the sizes that their papers give") {
  CHECK(transformer_big_workload().parameters == Approx(213e6).epsilon(0.02));  // Vaswani et al., table 3
  CHECK(gnmt_workload().parameters == Approx(160e6).epsilon(0.02));
  CHECK(validate(transformer_big_workload()).empty());
  CHECK(validate(gnmt_workload()).empty());
}

TEST_CASE("halos are the rows that a kernel reaches beyond its stride") {
  const auto rows = [](std::int64_t kernel, std::int64_t stride) {
    return ConvolutionShape{.kernel = kernel, .stride = stride}.halo_rows();
  };
  CHECK(rows(1, 1) == 0);
  CHECK(rows(3, 1) == 2);
  CHECK(rows(3, 2) == 1);
  CHECK(rows(7, 2) == 5);
  CHECK(rows(1, 2) == 0);
}

TEST_CASE("a workload says everything that is wrong with it") {
  CHECK(validate(Workload{}).size() == 5);
  Workload workload = resnet50_workload();
  workload.forward_macs /= 2;
  REQUIRE(validate(workload).size() == 1);
  CHECK_THAT(validate(workload)[0], Catch::Contains("more than forward_macs"));
}
