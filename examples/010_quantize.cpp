// The main job: a trained network in, the precision of every layer out.
#include <iostream>

#include "halftone/models/architecture.hpp"
#include "halftone/quantize.hpp"

int main(int argc, char** argv) {
  const std::string assets = argc > 1 ? argv[1] : "assets";
  const std::string directory = argc > 2 ? argv[2] : "out";
  // [readme]
  const auto network = halftone::load_model("cifar_resnet20:" + assets + "/cifar_resnet20.safetensors");
  const auto calibration = halftone::open_dataset("cifar10:" + assets + "/cifar10/calibration.bin", network.data);
  const auto validation = halftone::open_dataset("cifar10:" + assets + "/cifar10/validation.bin[0:1000]", network.data);

  const halftone::RunResult result =
      halftone::quantize(network.model, {.calibration = *calibration, .validation = *validation}, {.keep = 0.99});

  std::cout << halftone::text_report(result);
  halftone::write_run(result, directory);  // plan.json, run.json, report.html, report.txt
  // [readme]
  return result.status == halftone::RunStatus::Met ? 0 : 1;
}
