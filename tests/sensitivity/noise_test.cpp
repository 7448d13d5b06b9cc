#include <ATen/ATen.h>

#include "catch.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "squared_error.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using B = tiny::Builder;

namespace {

B::Id transposed(B& build, B::Id x) {
  Shape shape = build.shape_of(x);
  std::swap(shape[0], shape[1]);
  return build.node("aten::transpose", "int", shape, {B::ref(x), B::number(0), B::number(1)});
}

/// x [B, 5, 4] -> [5, B, 4] -> "fc" -> back.
Model sequence_first() {
  B build;
  const auto x = build.input("input", {5, 4});
  const auto fc = build.linear(transposed(build, x), build.parameter("fc.weight", tiny::random({3, 4}, 1)));
  return build.finish(build.flatten(transposed(build, fc)));
}

/// x [B, 4] times what "fc" makes of a constant [6, 4].
Model of_constant() {
  B build;
  const auto x = build.input("input", {4});
  const auto table = build.parameter("table", tiny::random({6, 4}, 3));
  const auto fc = build.linear(table, build.parameter("fc.weight", tiny::random({4, 4}, 1)));
  return build.finish(build.node("aten::linear", "", {{0, 1}, {6, 0}}, {B::ref(x), B::ref(fc), None{}}));
}

}  // namespace

TEST_CASE("noise is the same for a sample wherever the batch stands, in batches of any size") {
  const SquaredError task;
  const std::vector<Precision> precisions{k8, k4, {16, 4}};
  for (const auto& [model, sample] : {std::pair(sequence_first(), std::vector<std::int64_t>{7, 5, 4}),
                                      std::pair(of_constant(), std::vector<std::int64_t>{7, 4})}) {
    REQUIRE(model.sites.size() == 1);
    const auto data = make_tensor_dataset("x", {tiny::random(sample, 2)}, {});
    const Calibration calibration = calibrate(model, *data, precisions);
    SensitivityInput input{
        .model = model, .calibration = calibration, .data = *data, .task = task, .precisions = precisions};
    input.batch_size = 7;
    const SensitivityTable all = make_noise()->measure(input);
    for (const std::int64_t batch : {1, 2, 3}) {
      input.batch_size = batch;
      const SensitivityTable table = make_noise()->measure(input);
      for (const Precision precision : precisions)
        CHECK(table.scores[0].at(precision) == Approx(all.scores[0].at(precision)).epsilon(1e-4));
    }
    CHECK(all.scores[0].at(k4) > 0);
  }
}
