// The real network on real images: figures that were measured before, with another implementation.
#include "catch.hpp"
#include "graph/networks.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/graph/capture.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/passes.hpp"
#include "halftone/models/architecture.hpp"
#include "models/cifar_resnet.hpp"
#include "models/weights.hpp"

using namespace halftone;

namespace {

const std::string kAssets = HALFTONE_ASSETS;
const std::string kWeights = kAssets + "/cifar_resnet20.safetensors";

std::int64_t correct(const at::Tensor& logits, const at::Tensor& targets) {
  return logits.argmax(1).eq(targets).sum().item<std::int64_t>();
}

}  // namespace

TEST_CASE("ResNet-20 classifies as well after capture and folding as before, and its damage is as measured before") {
  const torch::NoGradGuard no_grad;
  internal::CifarResNet network(3);
  network.eval();
  internal::load_weights(WeightsFile{kWeights, {}}, "cifar_resnet20", named_tensors(network));
  const LoadedModel loaded = load_model("cifar_resnet20:" + kWeights);
  const auto images = open_dataset("cifar10:" + kAssets + "/cifar10/validation.bin[0:1000]", loaded.data);
  const Batch batch = images->range(0, images->size());

  // A second implementation (PyTorch in Python, loading the same file) counts 908 of these 1,000.
  const at::Tensor logits = network.forward(batch.inputs[0]);
  CHECK(correct(logits, batch.targets) == Approx(908).margin(1));
  const Model captured = capture(network, {batch.inputs[0].slice(0, 0, 1)});
  CHECK(torch::equal(Interpreter(captured).run(batch.inputs)[0], logits));
  const at::Tensor folded = Interpreter(loaded.model).run(batch.inputs)[0];
  CHECK(torch::allclose(folded, logits, 1e-4, 1e-3));
  CHECK(correct(folded, batch.targets) == correct(logits, batch.targets));
}

TEST_CASE("an interval keeps its width where no sample differs") {
  const LoadedModel loaded = load_model("cifar_resnet20:" + kWeights);
  const auto images = open_dataset("cifar10:" + kAssets + "/cifar10/validation.bin[0:20]", loaded.data);
  const auto task = make_top_k(1);
  const std::vector<Precision> precisions{k16, k8};
  const Calibration calibration = calibrate(loaded.model, *images, precisions);
  SimulatedEvaluator evaluator(loaded.model, calibration, *images, *task);
  const auto baseline = evaluator.measure_baseline(Plan::uniform(loaded.model.sites.size(), k16));
  REQUIRE(evaluator.float_score().score == baseline->score);
  CHECK(evaluator.float_score().interval.low == Approx(1 - 3 / baseline->score_count));
  CHECK(evaluator.float_score().interval.high == Approx(1 + 3 / baseline->score_count));
  CHECK(baseline->interval.low == 1);
}

TEST_CASE("ResNet-20 at uniform precisions scores as measured before") {
  const LoadedModel loaded = load_model("cifar_resnet20:" + kWeights);
  const auto calibration_data = open_dataset("cifar10:" + kAssets + "/cifar10/calibration.bin", loaded.data);
  const auto images = open_dataset("cifar10:" + kAssets + "/cifar10/validation.bin[0:1000]", loaded.data);
  const std::vector<Precision> precisions{k16, k8, kW4A8, k4};
  const Calibration calibration = calibrate(loaded.model, *calibration_data, precisions, {.threads = 2});
  const auto task = make_top_k(1);
  SimulatedEvaluator evaluator(loaded.model, calibration, *images, *task, {.threads = 2});
  const auto at_precision = [&](Precision p) { return Plan::uniform(loaded.model.sites.size(), p); };
  const auto baseline = evaluator.measure_baseline(at_precision(k16));
  // Tolerances are those of another kernel or another calibration slice, in images of 1,000.
  CHECK(baseline->score_count == Approx(908).margin(1));
  CHECK(evaluator.evaluate(at_precision(k8))->score_count == Approx(908).margin(3));
  const auto w4a8 = evaluator.evaluate(at_precision(kW4A8));
  const auto all_4 = evaluator.evaluate(at_precision(k4));
  CHECK(w4a8->score_count == Approx(886).margin(10));
  CHECK(all_4->score_count == Approx(822).margin(15));
  CHECK(baseline->damage < 2e-4);
  CHECK(all_4->damage > w4a8->damage);
}
