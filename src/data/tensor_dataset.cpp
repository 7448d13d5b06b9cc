#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <utility>

#include "core/scalar_type.hpp"
#include "data/entry_tensor.hpp"
#include "data/sample_index.hpp"
#include "halftone/core/error.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/data/safetensors.hpp"

namespace halftone {
namespace {

constexpr const char* kTarget = "target";

class TensorDataset final : public Dataset {
 public:
  TensorDataset(std::string name, std::vector<at::Tensor> inputs, at::Tensor targets)
      : name_(std::move(name)), inputs_(std::move(inputs)), targets_(std::move(targets)) {}

  std::int64_t size() const override { return inputs_.front().size(0); }
  Batch get(std::span<const std::int64_t> indices) const override {
    for (const std::int64_t index : indices) internal::require_sample(*this, index);
    const at::Tensor rows = at::tensor(c10::IntArrayRef(indices.data(), indices.size()), at::kLong);
    Batch batch;
    for (const auto& input : inputs_) batch.inputs.push_back(input.index_select(0, rows.to(input.device())));
    if (targets_.defined()) batch.targets = targets_.index_select(0, rows.to(targets_.device()));
    return batch;
  }
  at::Tensor targets() const override { return targets_; }
  std::string name() const override { return name_; }

 private:
  std::string name_;
  std::vector<at::Tensor> inputs_;
  at::Tensor targets_;
};

/// What a set is made of, with the words for it in messages.
struct Parts {
  std::string data;  ///< name of the set
  Errc code;         ///< whose fault a misfit is: the caller's or the file's
  std::vector<std::string> labels;
  std::vector<at::Tensor> inputs;
  at::Tensor targets;

  template <class... Why>
  [[noreturn]] void refuse(const Why&... why) const {
    throw Error(code, message("data \"", data, "\": ", why...));
  }
};

void check_samples(const Parts& parts, const std::string& label, const at::Tensor& tensor) {
  if (!tensor.defined()) parts.refuse(label, " is an undefined tensor");
  if (tensor.layout() != at::kStrided) parts.refuse(label, " is no dense tensor");
  if (tensor.dim() == 0) parts.refuse(label, " is a single number: its first dimension must count the samples");
  const std::int64_t count = parts.inputs[0].size(0);
  if (tensor.size(0) != count)
    parts.refuse(label, " has shape ", tensor.sizes(), ", but ", parts.labels[0], " holds ", count,
                 " samples: both must hold equally many");
  if (count == 0) parts.refuse(label, " has shape ", tensor.sizes(), ": there must be at least one sample");
}

std::unique_ptr<Dataset> checked_dataset(Parts parts) {
  for (std::size_t i = 0; i < parts.inputs.size(); ++i) {
    check_samples(parts, parts.labels[i], parts.inputs[i]);
    parts.inputs[i] = parts.inputs[i].detach().contiguous();
  }
  if (parts.targets.defined()) {
    check_samples(parts, kTarget, parts.targets);
    const auto type = parts.targets.scalar_type();
    if (!at::isFloatingType(type) && !at::isIntegralType(type, false))
      parts.refuse("target has type ", type, ": it must be float (values) or integer (class labels)");
    parts.targets = parts.targets.detach().contiguous();
  }
  return std::make_unique<TensorDataset>(std::move(parts.data), std::move(parts.inputs), std::move(parts.targets));
}

std::string quoted_list(const std::vector<std::string>& names) {
  constexpr std::size_t most = 10;  // weights given by mistake hold hundreds
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i)
    text += message(i == 0 ? "" : ", ", '"', names[i], '"');
  if (names.size() > most) text += message(" and ", names.size() - most, " more");
  return text;
}

[[noreturn]] void refuse_names(const SafetensorsFile& file, const std::vector<std::string>& input_names) {
  std::vector<std::string> held;
  for (const auto& entry : file.entries()) held.push_back(entry.name);
  throw Error(Errc::BadFile,
              message("data file ", file.path(), " does not fit the model: it holds ",
                      held.empty() ? "no tensors" : quoted_list(held), ", and must hold exactly the model's inputs (",
                      quoted_list(input_names), ") and, where labelled, \"target\""));
}

/// The entries of the model's inputs, in its order.
std::vector<const SafetensorsEntry*> find_inputs(const SafetensorsFile& file,
                                                 const std::vector<std::string>& input_names) {
  std::vector<const SafetensorsEntry*> others;
  for (const auto& entry : file.entries())
    if (entry.name != kTarget) others.push_back(&entry);
  if (others.size() != input_names.size()) refuse_names(file, input_names);
  if (others.size() == 1) return others;
  std::vector<const SafetensorsEntry*> inputs;
  for (const auto& name : input_names) inputs.push_back(file.find(name));
  for (const auto* const input : inputs)
    if (input == nullptr) refuse_names(file, input_names);
  return inputs;
}

}  // namespace

at::Tensor internal::to_tensor(const SafetensorsEntry& entry) {
  static_assert(std::endian::native == std::endian::little, "safetensors bytes are little-endian");
  // Any byte but 0 and 1 in a bool is undefined behaviour, so those pass through a comparison.
  const bool is_bool = entry.dtype == DType::Bool;
  const auto type = is_bool ? at::kByte : internal::to_scalar_type(entry.dtype);
  at::Tensor tensor = at::empty(entry.shape, type);
  if (!entry.bytes.empty()) std::memcpy(tensor.mutable_data_ptr(), entry.bytes.data(), entry.bytes.size());
  return is_bool ? tensor.ne(0) : tensor;
}

std::unique_ptr<Dataset> make_tensor_dataset(std::string name, std::vector<at::Tensor> inputs, at::Tensor targets) {
  Parts parts{std::move(name), Errc::InvalidArgument, {}, std::move(inputs), std::move(targets)};
  if (parts.inputs.empty()) parts.refuse("there are no inputs: give at least one tensor");
  for (std::size_t i = 0; i < parts.inputs.size(); ++i) parts.labels.push_back(message("input ", i));
  return checked_dataset(std::move(parts));
}

std::unique_ptr<Dataset> open_tensor_dataset(const std::string& path, const std::vector<std::string>& input_names) {
  if (input_names.empty())
    throw Error(Errc::InvalidArgument, message("data \"", path, "\" is for a model without inputs: name at least one"));
  const SafetensorsFile file(path);
  Parts parts{path, Errc::BadFile, {}, {}, {}};
  for (const auto* const entry : find_inputs(file, input_names)) {
    parts.labels.push_back(message("tensor \"", entry->name, '"'));
    parts.inputs.push_back(internal::to_tensor(*entry));
  }
  if (const auto* const target = file.find(kTarget)) parts.targets = internal::to_tensor(*target);
  return checked_dataset(std::move(parts));
}

}  // namespace halftone
