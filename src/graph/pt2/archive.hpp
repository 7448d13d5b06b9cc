#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "core/json_field.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/zip_index.hpp"

namespace halftone::internal::pt2 {

/// A tensor of an archive, by the name it has in the module.
struct StoredTensor {
  at::Tensor tensor;
  bool is_parameter = false;
};

/// An opened .pt2 archive of one program.
class Archive {
 public:
  /// Throws `NotFound`, `BadFile`, or `Unsupported` for what is no archive of one exported program.
  explicit Archive(const std::filesystem::path& path);

  /// The program, parsed. `place` is what messages call it.
  [[nodiscard]] nlohmann::json model() const;
  [[nodiscard]] std::string place() const;
  /// The tensors of the state dict, and those outside it: constants and buffers that are not saved with the module.
  /// They lie in the mapping, which lives as long as one of them.
  [[nodiscard]] std::map<std::string, StoredTensor> weights(bool verify) const;
  [[nodiscard]] std::map<std::string, StoredTensor> constants(bool verify) const;

 private:
  [[nodiscard]] std::string text(const std::string& name) const;
  [[noreturn]] void refuse_old() const;
  void find_model();
  void check_format() const;
  [[nodiscard]] std::map<std::string, StoredTensor> tensors(const std::string& folder, const std::string& config,
                                                            bool verify) const;

  std::shared_ptr<const MappedFile> file_;
  ZipIndex zip_;
  std::string root_;  ///< the folder that holds everything, with its slash
  std::string name_;  ///< of the program, mostly "model"
};

}  // namespace halftone::internal::pt2
