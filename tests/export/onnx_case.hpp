#pragma once

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "core/scalar_type.hpp"
#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/export/onnx.hpp"
#include "halftone/graph/model.hpp"

/// Exported files with what LibTorch computes, for check_onnx.py.
namespace onnx_case {

using nlohmann::json;

inline json described(const std::vector<at::Tensor>& tensors) {
  json list = json::array();
  for (const auto& tensor : tensors)
    list.push_back(
        {{"dtype", info(*halftone::internal::to_dtype(tensor.scalar_type())).name}, {"shape", tensor.sizes().vec()}});
  return list;
}

inline std::string bytes_of(const std::vector<at::Tensor>& tensors) {
  std::string bytes;
  for (const auto& tensor : tensors) {
    const at::Tensor data = tensor.contiguous();
    bytes.append(static_cast<const char*>(data.const_data_ptr()), data.nbytes());
  }
  return bytes;
}

inline json sites_of(const halftone::Model& model, const halftone::Plan& plan) {
  json list = json::array();
  for (std::size_t i = 0; i < plan.size(); ++i)
    list.push_back({{"name", model.sites[i].name},
                    {"weight_bits", model.sites[i].has_weight() ? json(plan[i].weight_bits) : json()},
                    {"activation_bits", plan[i].activation_bits}});
  return list;
}

/// manifest.json, and for each case NAME.onnx and NAME.bin, the elements of its inputs and outputs.
class Folder {
 public:
  explicit Folder(std::filesystem::path path) : path_(std::move(path)) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }

  void add(const std::string& name, const halftone::Model& model, const halftone::Plan& plan,
           const halftone::Calibration& calibration, const halftone::OnnxOptions& options,
           const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& outputs) {
    write(name + ".onnx", to_onnx(model, plan, calibration, options));
    write(name + ".bin", bytes_of(inputs) + bytes_of(outputs));
    manifest_.push_back({{"name", name},
                         {"inputs", described(inputs)},
                         {"outputs", described(outputs)},
                         {"native", options.sub_byte == halftone::SubByte::Native},
                         {"batch", options.batch ? json(*options.batch) : json()},
                         {"sites", sites_of(model, plan)}});
  }
  void finish() const { write("manifest.json", manifest_.dump()); }

 private:
  void write(const std::string& name, const std::string& content) const {
    std::ofstream file(path_ / name, std::ios::binary);
    file << content;
    REQUIRE(file.flush());
  }

  std::filesystem::path path_;
  json manifest_ = json::array();
};

}  // namespace onnx_case
