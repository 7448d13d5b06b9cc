#include "halftone/plan/finished_file.hpp"

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "core/quoted.hpp"
#include "core/scalar_type.hpp"
#include "data/entry_tensor.hpp"
#include "halftone/core/error.hpp"
#include "halftone/data/safetensors.hpp"

namespace halftone {
namespace {

constexpr const char* kOriginal = "model_digest";
constexpr const char* kFinished = "finished_digest";

/// Ids of data by name; throws where one that is asked for stands for several.
class Names {
 public:
  explicit Names(const Model& model) {
    for (std::size_t id = 0; id < model.tensors.size(); ++id)
      if (model.tensors[id].defined()) ids_[model.graph.values[id].name].push_back(id);
  }

  /// None, one, or several.
  [[nodiscard]] std::vector<std::size_t> find(const std::string& name) const {
    const auto found = ids_.find(name);
    return found == ids_.end() ? std::vector<std::size_t>{} : found->second;
  }

 private:
  std::map<std::string, std::vector<std::size_t>> ids_;
};

bool has_place_for(const at::Tensor& own, const at::Tensor& other) {
  return own.defined() && other.defined() && own.sizes() == other.sizes() && own.dtype() == other.dtype();
}

/// The tensors that differ, on the CPU, by id.
std::map<std::size_t, at::Tensor> differences(const Model& model, const Model& finished) {
  if (to_string(model.graph) != to_string(finished.graph) || model.tensors.size() != finished.tensors.size())
    throw Error(Errc::InvalidArgument,
                "finished file: the two networks have other operators: only values of tensors "
                "may differ");
  std::map<std::size_t, at::Tensor> changed;
  for (std::size_t id = 0; id < model.tensors.size(); ++id) {
    const at::Tensor& own = model.tensors[id];
    const at::Tensor& other = finished.tensors[id];
    if (own.is_same(other) || (!own.defined() && !other.defined())) continue;
    if (!has_place_for(own, other))
      throw Error(Errc::InvalidArgument, message("finished file: tensor \"", model.graph.values[id].name,
                                                 "\" has another shape or type in the two networks"));
    if (!at::equal(own.detach(), other.detach())) changed[id] = other.detach().to(at::kCPU).contiguous();
  }
  return changed;
}

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw Error(Errc::BadFile, message("finished weights ", path, ": ", why));
}

const std::string& metadata_at(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    refuse(file.path(), message("they do not say for which network they are (", key,
                                "): give finished.safetensors, as `halftone quantize --train` writes it"));
  return found->second;
}

}  // namespace

void write_finished_file(const std::filesystem::path& path, const Model& model, const Model& finished) {
  const auto changed = differences(model, finished);
  const Names names(model);
  std::vector<SafetensorsEntry> entries;
  for (const auto& [id, tensor] : changed) {
    const std::string& name = model.graph.values[id].name;
    if (names.find(name).size() > 1)
      throw Error(Errc::InvalidArgument, message("finished file: several tensors are called \"", name, '"'));
    const auto dtype = internal::to_dtype(tensor.scalar_type());
    if (!dtype)
      throw Error(Errc::Unsupported, message("finished file: tensor \"", name, "\" is of a type without name"));
    entries.push_back({name,
                       *dtype,
                       tensor.sizes().vec(),
                       {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
  write_safetensors(path, entries, {{kOriginal, digest(model)}, {kFinished, digest(finished)}});
}

Model apply_finished_file(const std::filesystem::path& path, const Model& model) {
  const SafetensorsFile file(path);
  if (const std::string& made_for = metadata_at(file, kOriginal); made_for != digest(model))
    refuse(path, message("they were made for another network (digest ", internal::quoted(made_for), ", this model has ",
                         digest(model), "): use them with the weights that were fine-tuned"));
  const std::string& whole = metadata_at(file, kFinished);
  const Names names(model);
  Model finished = model;
  for (const SafetensorsEntry& entry : file.entries()) {
    const auto fail = [&](const std::string& why) {
      refuse(path, message("tensor ", internal::quoted(entry.name), why));
    };
    const auto ids = names.find(entry.name);
    if (ids.size() != 1) fail(ids.empty() ? " is none of the model's" : " is several of the model's");
    at::Tensor& own = finished.tensors[ids.front()];
    const at::Tensor tensor = internal::to_tensor(entry);
    if (!has_place_for(own, tensor))
      fail(message(" has shape ", tensor.sizes(), " and type ", at::toString(tensor.scalar_type()), ", the model's ",
                   own.sizes(), " and ", at::toString(own.scalar_type())));
    if (!at::isfinite(tensor).all().item<bool>()) fail(" has values that are not finite");
    own = tensor.to(own.device());
  }
  if (digest(finished) != whole) refuse(path, "together with the model they are not the network that was written");
  return finished;
}

}  // namespace halftone
