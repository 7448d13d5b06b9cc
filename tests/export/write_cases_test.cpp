#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

#include "catch.hpp"
#include "core/scalar_type.hpp"
#include "export/battery.hpp"
#include "halftone/export/onnx.hpp"

using namespace halftone;
using nlohmann::json;

namespace {

json described(const std::vector<at::Tensor>& tensors) {
  json list = json::array();
  for (const auto& tensor : tensors)
    list.push_back({{"dtype", info(*internal::to_dtype(tensor.scalar_type())).name}, {"shape", tensor.sizes().vec()}});
  return list;
}

std::string bytes_of(const std::vector<at::Tensor>& tensors) {
  std::string bytes;
  for (const auto& tensor : tensors) {
    const at::Tensor data = tensor.contiguous();
    bytes.append(static_cast<const char*>(data.const_data_ptr()), data.nbytes());
  }
  return bytes;
}

void write(const std::filesystem::path& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  REQUIRE(file.flush());
}

json sites_of(const battery::Network& network, const Plan& plan) {
  json list = json::array();
  for (std::size_t i = 0; i < plan.size(); ++i)
    list.push_back({{"name", network.model.sites[i].name},
                    {"weight_bits", network.model.sites[i].has_weight() ? json(plan[i].weight_bits) : json()},
                    {"activation_bits", plan[i].activation_bits}});
  return list;
}

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

/// For check_onnx.py: manifest.json, and for each case NAME.onnx and NAME.bin, the elements of its inputs and outputs.
TEST_CASE("the battery is written as ONNX with LibTorch's outputs") {
  const std::filesystem::path folder = HALFTONE_ONNX_CASES;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  json manifest = json::array();
  auto networks = battery::all();
  for (auto& network : battery::operands()) networks.push_back(std::move(network));
  for (const auto& network : networks)
    for (const auto& [kind, plan, options] : kinds(network)) {
      const std::string name = network.name + '.' + kind;
      CAPTURE(name);
      const auto outputs = battery::reference(network, plan);
      write(folder / (name + ".onnx"), to_onnx(network.model, plan, network.calibration, options));
      write(folder / (name + ".bin"), bytes_of(network.inputs) + bytes_of(outputs));
      manifest.push_back({{"name", name},
                          {"inputs", described(network.inputs)},
                          {"outputs", described(outputs)},
                          {"native", options.sub_byte == SubByte::Native},
                          {"batch", options.batch ? json(*options.batch) : json()},
                          {"sites", sites_of(network, plan)}});
    }
  write(folder / "manifest.json", manifest.dump());
}
