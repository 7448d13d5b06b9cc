// A plan from a file, in an engine: how long it takes beside all sites at 8 bits.
#include <iostream>

#include "halftone/engine/benchmark.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/plan/plan_file.hpp"
#include "halftone/quantize.hpp"

namespace {

/// Writes a plan to time: in earnest, `halftone quantize` does.
void write_plan(const halftone::LoadedModel& network, const std::string& assets, const std::string& directory) {
  const auto data = halftone::open_dataset("cifar10:" + assets + "/cifar10/calibration.bin[0:100]", network.data);
  halftone::write_run(halftone::quantize(network.model, {.calibration = *data, .validation = *data}), directory);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string assets = argc > 1 ? argv[1] : "assets";
  const std::string directory = argc > 2 ? argv[2] : "out";
  const std::string spec = "cifar_resnet20:" + assets + "/cifar_resnet20.safetensors";
  write_plan(halftone::load_model(spec), assets, directory);
  // [readme]
  const auto model = halftone::load_model(spec).model;
  const auto file = halftone::read_plan_file(directory + "/plan.json");
  const auto [plan, ranges] = halftone::apply_plan_file(file, model.sites, halftone::digest(model));

  const auto engine = halftone::has_openvino() ? halftone::make_openvino_engine() : halftone::make_libtorch_engine();
  const auto type = halftone::preferred_float(*engine);
  const halftone::Variant variants[] = {
      {"all at 16 bits", halftone::Plan::uniform(plan.size(), halftone::k16), type},
      {"plan", plan, type},
  };
  const halftone::Measurement measured = halftone::benchmark(*engine, model, ranges, variants, {.batch = 1});
  const halftone::Ratio ratio = halftone::compare(measured.timings[1], measured.timings[0]);
  std::cout << engine->name() << ": plan " << measured.timings[1].minimum << " ms, " << ratio.value
            << " of the time at 16 bits (" << ratio.low << " to " << ratio.high << ")\n";
  // [readme]
  return 0;
}
