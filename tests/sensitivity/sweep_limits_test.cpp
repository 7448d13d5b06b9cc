// Little memory, and outputs that are not finite.
#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <vector>

#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "squared_error.hpp"
#include "sweeping_metrics.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using Catch::Matchers::Contains;

namespace {

std::string bytes(SensitivityTable table) {
  table.seconds = 0;
  return nlohmann::json(table).dump();
}

struct Residual {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = tiny::images(7);
  std::unique_ptr<Task> task = make_top_k(1);
  std::vector<Precision> precisions{k8, k4};
  Calibration calibration = calibrate(model, *data, precisions);
  SensitivityInput input{.model = model,
                         .calibration = calibration,
                         .data = *data,
                         .task = *task,
                         .precisions = precisions,
                         .batch_size = 3};
};

/// x [B, 1] -> "first" -> 1 / x -> "last" to 3 outputs: "first" at 4 bits rounds small inputs to 0, and breaks them.
struct Fragile {
  Model model = [] {
    tiny::Builder build;
    const auto x = build.input("input", {1});
    const auto first = build.linear(x, build.parameter("first.weight", tiny::random({4, 1}, 1)));
    const auto inverse = build.node("aten::reciprocal", "", build.shape_of(first), {tiny::Builder::ref(first)});
    return build.finish(build.linear(inverse, build.parameter("last.weight", tiny::random({3, 4}, 2) * 0.01)));
  }();
  std::unique_ptr<Dataset> data = samples({1, 0.5, 0.25, 0.01, 0.75});
  std::unique_ptr<Task> task = std::make_unique<SquaredError>();
  std::vector<Precision> precisions{k8, k4};
  Calibration calibration = calibrate(model, *data, precisions);

  static std::unique_ptr<Dataset> samples(const std::vector<float>& x) {
    return make_tensor_dataset("few", {at::tensor(at::ArrayRef<float>(x)).unsqueeze(1)}, {});
  }
  [[nodiscard]] SensitivityInput input() const {
    return {.model = model,
            .calibration = calibration,
            .data = *data,
            .task = *task,
            .precisions = precisions,
            .batch_size = 2};
  }
};

}  // namespace

TEST_CASE("how large batches are does not depend on the number of threads") {
  for (const auto& metric : sweeping_metrics()) {
    CAPTURE(metric->name());
    Residual f;
    const std::int64_t responses = metric->name() == "interlayer" ? 10 * 5 * 8 : 0;
    f.input.most_bytes = 3 * (Interpreter(f.model).recorded_bytes({1}) + responses);  // one batch of three
    const std::string one = bytes(metric->measure(f.input));
    for (const int threads : {2, 8}) {
      f.input.threads = threads;
      CHECK(bytes(metric->measure(f.input)) == one);
    }
    f.input.most_bytes *= 10;
    CHECK(bytes(metric->measure(f.input)) == one);
    f.input.most_bytes /= 20;  // one sample a batch, and still no full passes
    f.input.batch_size = 1;
    CHECK(metric->measure(f.input).forward_passes ==
          Approx(nlohmann::json::parse(one)["forward_passes"].get<double>()));
  }
}

TEST_CASE("memory for the differences of outputs counts, and too little is refused with both numbers") {
  Residual f;
  f.input.most_bytes = 399;  // 10 changes, 5 numbers of 8 bytes each
  const Failure failed = failure([&] { (void)make_interlayer()->measure(f.input); });
  CHECK(failed.code == Errc::InvalidArgument);
  CHECK(failed.text ==
        "metric interlayer keeps 400 bytes for each sample of a batch, most_bytes is 399: raise it, score fewer "
        "precisions, or take metric damage or error");
  f.input.most_bytes = 400;
  CHECK(make_interlayer()->measure(f.input).scores[0].at(k4) > 0);
  f.input.most_bytes = 0;
  CHECK(make_damage()->measure(f.input).scores[0].at(k4) > 0);
  f.input.most_bytes = -1;
  for (const auto& metric : sweeping_metrics())
    CHECK(failure([&] { (void)metric->measure(f.input); }).text ==
          "metric " + metric->name() + ": most_bytes is -1: it must be at least 0");
}

TEST_CASE("a change that breaks a sample is clamped and listed, and the others keep their scores") {
  const Fragile f;
  Fragile whole;
  whole.data = Fragile::samples({1, 0.5, 0.25, 0.75});
  for (const auto& metric : {make_damage(), make_interlayer(), make_measured_pairs()}) {
    CAPTURE(metric->name());
    const SensitivityTable table = metric->measure(f.input());
    REQUIRE(table.clamped.size() == 1);
    CHECK(table.clamped[0].site == 0);
    CHECK(table.clamped[0].precision == k4);
    CHECK(std::isnan(table.clamped[0].given));
    CHECK(table.scores[0].at(k4) == table.scores[1].at(k4));
    CHECK(metric->measure(whole.input()).clamped.empty());
    const auto read = nlohmann::json::parse(nlohmann::json(table).dump()).get<SensitivityTable>();
    CHECK(read.scores == table.scores);
    CHECK(read.standard_errors == table.standard_errors);
    CHECK(make_known_metric(read)->measure(f.input()).scores == table.scores);
    if (!table.standard_errors.empty()) CHECK(table.standard_errors[0].at(k4) == 0);
    if (!table.pairs) continue;
    for (const Precision q : f.precisions) CHECK(table.pairs->at(0, k4, 1, q) == 0);
    CHECK(table.pairs->scale() * table.pairs->at(0, k4, 0, k4) / 2 == Approx(table.scores[0].at(k4)));
    CHECK(table.pairs->scale() * table.pairs->at(1, k4, 1, k4) / 2 == Approx(table.scores[1].at(k4)));
    CHECK(table.pairs->at(0, k8, 1, k4) != 0);
  }
}

TEST_CASE("clean outputs that are not finite are an error that names metric and sample") {
  Fragile f;
  f.data = Fragile::samples({1, 0.5, 0.25, 0});
  auto metrics = sweeping_metrics();
  metrics.push_back(make_hessian());
  metrics.push_back(make_fisher());
  metrics.push_back(make_hvp_pairs());
  for (const auto& metric : metrics) {
    const Failure failed = failure([&] { (void)metric->measure(f.input()); });
    CHECK(failed.code == Errc::NonFinite);
    CHECK(failed.text == "metric " + metric->name() +
                             ": output 0 of the network as trained is NaN or infinite for sample 3 of few: look at "
                             "the weights and at this sample, or leave it out");
  }
}

TEST_CASE("a response that does not fit the damage is refused, and what to override") {
  class Unscaled final : public SquaredError {
   public:
    [[nodiscard]] std::string name() const override { return "unscaled"; }

   private:
    [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                       const std::vector<at::Tensor>& clean) const override {
      return 3 * SquaredError::do_damage(outputs, clean);
    }
  };
  Fragile f;
  f.task = std::make_unique<Unscaled>();
  for (const auto& metric : {make_interlayer(), make_hessian(), make_hessian_error(), make_fisher()}) {
    const Failure failed = failure([&] { (void)metric->measure(f.input()); });
    CHECK(failed.code == Errc::Unsupported);
    CHECK_THAT(failed.text, Contains("metric " + metric->name() + ": the response of task unscaled does not fit") &&
                                Contains("override Task::do_response, or take metric damage or error"));
  }
  for (const auto& metric : {make_hessian({.probe = HessianProbe::Weights}), make_hvp_pairs(), make_damage()})
    CHECK(metric->measure(f.input()).scores[1].at(k4) > 0);
}
