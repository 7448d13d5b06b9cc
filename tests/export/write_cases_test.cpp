#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "export/battery.hpp"
#include "export/onnx_case.hpp"

using namespace halftone;

namespace {

struct Kind {
  std::string name;
  Plan plan;
  OnnxOptions options;
};

std::vector<Kind> kinds(const battery::Network& network) {
  const std::size_t sites = network.model.sites.size();
  const Plan plain = Plan::uniform(sites, k16);
  const Plan eight = Plan::uniform(sites, k8);
  const Plan four = Plan::uniform(sites, k4);
  const Plan mixed = battery::mixed_plan(sites);
  OnnxOptions fixed;
  fixed.batch = battery::kBatch;
  const OnnxOptions open = network.fixed_batch_only ? fixed : OnnxOptions{};
  OnnxOptions open_native = open;
  OnnxOptions fixed_native = fixed;
  open_native.sub_byte = fixed_native.sub_byte = SubByte::Native;
  return {{"float", plain, open},         {"float_fixed", plain, fixed},
          {"eight", eight, open},         {"eight_fixed", eight, fixed},
          {"four_emulated", four, fixed}, {"four_native", four, open_native},
          {"mixed", mixed, open},         {"mixed_native_fixed", mixed, fixed_native}};
}

}  // namespace

TEST_CASE("the battery is written as ONNX with LibTorch's outputs") {
  onnx_case::Folder folder(HALFTONE_ONNX_CASES);
  auto networks = battery::all();
  for (auto& network : battery::operands()) networks.push_back(std::move(network));
  for (const auto& network : networks)
    for (const auto& [kind, plan, options] : kinds(network)) {
      const std::string name = network.name + '.' + kind;
      CAPTURE(name);
      folder.add(name, network.model, plan, network.calibration, options, network.inputs,
                 battery::reference(network, plan));
    }
  folder.finish();
}
