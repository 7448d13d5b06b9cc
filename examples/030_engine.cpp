// Measured instead of modelled: an engine decides what is fast, and runs the result.
#include <iostream>

#include "halftone/core/file.hpp"
#include "halftone/engine/engine.hpp"
#include "halftone/export/onnx.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/quantize.hpp"

int main(int argc, char** argv) {
  const std::string assets = argc > 1 ? argv[1] : "assets";
  const std::string directory = argc > 2 ? argv[2] : "out";
  const auto network = halftone::load_model("cifar_resnet20:" + assets + "/cifar_resnet20.safetensors");
  const auto calibration = halftone::open_dataset("cifar10:" + assets + "/cifar10/calibration.bin", network.data);
  const auto validation = halftone::open_dataset("cifar10:" + assets + "/cifar10/validation.bin[0:500]", network.data);
  // [readme]
  const auto engine = halftone::has_openvino() ? halftone::make_openvino_engine() : halftone::make_libtorch_engine();
  const halftone::RunResult result =
      halftone::quantize(network.model, {.calibration = *calibration, .validation = *validation},
                         {.keep = 0.99, .precisions = {halftone::k16, halftone::k8}}, {.engine = engine});

  const auto compiled = engine->compile(network.model, result.plan, result.calibration, {.batch = 8});
  const std::vector<at::Tensor> logits = compiled->run(validation->range(0, 8).inputs);
  const std::string onnx = halftone::to_onnx(network.model, result.plan, result.calibration);
  // [readme]
  std::cout << halftone::text_summary(result) << "logits of 8 images: " << logits[0].sizes() << '\n';
  halftone::require_writable(directory);
  halftone::write_atomically(directory + "/network.onnx", onnx);
  return result.status == halftone::RunStatus::Met ? 0 : 1;
}
