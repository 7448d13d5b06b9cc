// What simulating a precision costs: time of a quantized pass relative to the float pass, its floor, and of the fake
// quantizer relative to LibTorch's own. Variants take turns; the minimum of the rounds counts. One thread.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iomanip>
#include <iostream>
#include <limits>
#include <malloc.h>

#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/quant/fake_quantize.hpp"

namespace {

struct Variant {
  std::string name;
  std::function<void()> run;
  double seconds = std::numeric_limits<double>::infinity();
};

void compare(const std::string& title, std::vector<Variant> variants, double items, const char* unit) {
  constexpr int kRounds = 15;
  for (int round = -1; round < kRounds; ++round)  // the first one warms up
    for (auto& variant : variants) {
      const auto start = std::chrono::steady_clock::now();
      variant.run();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      if (round >= 0) variant.seconds = std::min(variant.seconds, took.count());
    }
  std::cout << title << '\n' << std::fixed << std::setprecision(2);
  for (const auto& variant : variants)
    std::cout << "  " << std::left << std::setw(46) << variant.name << std::right << std::setw(9)
              << variant.seconds / items * 1e9 << " ns/" << unit << std::setw(8)
              << variant.seconds / variants.front().seconds << " x\n";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace halftone;
  const std::string assets = argc > 1 ? argv[1] : "assets";
  const at::NoGradGuard no_grad;
  at::set_num_threads(1);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as the program does: see src/cli/main.cpp
  mallopt(M_TRIM_THRESHOLD, 1 << 30);

  const at::Tensor x = at::rand({16, 16, 32, 32});
  const QuantParams params = activation_params(0, 1, 8);
  at::Tensor kept;
  compare("Fake quantization of 262,144 values (floor: a copy)",
          {{"copy", [&] { kept = x.clone(); }},
           {"halftone::fake_quantize", [&] { kept = fake_quantize(x, params); }},
           {"at::fake_quantize_per_tensor_affine",
            [&] { kept = at::fake_quantize_per_tensor_affine(x, params.scale, 0, 0, 255); }}},
          static_cast<double>(x.numel()), "value");

  const auto network = load_model("cifar_resnet20:" + assets + "/cifar_resnet20.safetensors");
  const auto data = open_dataset("cifar10:" + assets + "/cifar10/calibration.bin", network.data);
  const std::vector<Precision> precisions{k16, k8, k4};
  const Calibration calibration = calibrate(network.model, *data, precisions);
  const Interpreter interpreter(network.model);
  const Batch batch = data->range(0, 16);
  std::vector<Variant> passes{{"float", [&] { kept = interpreter.run(batch.inputs)[0]; }}};
  QuantizedWeights weights(network.model, calibration);
  for (const Precision precision : precisions) {
    const Plan plan = Plan::uniform(network.model.sites.size(), precision);
    weights.prepare(plan);
    passes.push_back({"all sites at " + to_string(precision), [&, plan] {
                        QuantizedVisitor visitor(network.model, calibration, plan, &weights);
                        kept = interpreter.run(batch.inputs, &visitor)[0];
                      }});
  }
  compare("A pass of ResNet-20 over 16 images (floor: float)", passes, 16, "image");
}
