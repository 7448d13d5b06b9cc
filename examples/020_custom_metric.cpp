// A sensitivity metric of one's own, from a function of one site at one precision.
#include <ATen/ATen.h>

#include <iostream>

#include "halftone/models/architecture.hpp"
#include "halftone/quantize.hpp"
#include "halftone/testing/check_metric.hpp"

int main(int argc, char** argv) {
  const std::string assets = argc > 1 ? argv[1] : "assets";
  const auto network = halftone::load_model("cifar_resnet20:" + assets + "/cifar_resnet20.safetensors");
  const auto calibration = halftone::open_dataset("cifar10:" + assets + "/cifar10/calibration.bin", network.data);
  const auto validation = halftone::open_dataset("cifar10:" + assets + "/cifar10/validation.bin[0:500]", network.data);

  // [readme]
  // Lower is safer: what quantization does to the weight, as a share of the weight itself.
  const std::shared_ptr<const halftone::SensitivityMetric> metric =
      halftone::make_metric("relative_weight_error", [](const halftone::SiteView& view) {
        const at::Tensor error = view.quantized_weight - view.weight;
        return (error.square().sum() / view.weight.square().sum()).item<double>();
      });
  // [readme]

  // Does it keep the rules? A few samples are enough to find out.
  const std::vector<halftone::Precision> precisions{halftone::k8, halftone::k4};
  const auto few = halftone::open_dataset("cifar10:" + assets + "/cifar10/calibration.bin[0:4]", network.data);
  const halftone::Calibration ranges = halftone::calibrate(network.model, *few, precisions);
  const auto task = halftone::make_top_k(1);
  const auto violations = halftone::testing::check_metric(
      *metric, {.model = network.model, .calibration = ranges, .data = *few, .task = *task, .precisions = precisions});
  for (const std::string& violation : violations) std::cerr << violation << '\n';
  if (!violations.empty()) return 1;

  const halftone::QuantizeParts parts{.metric = metric};
  const auto result = halftone::quantize(network.model, {.calibration = *calibration, .validation = *validation},
                                         {.keep = 0.98}, parts);
  std::cout << halftone::text_report(result);
  return result.status == halftone::RunStatus::Met ? 0 : 1;
}
