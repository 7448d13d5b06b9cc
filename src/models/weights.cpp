#include "models/weights.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "core/quoted.hpp"
#include "data/entry_tensor.hpp"
#include "data/file_form.hpp"
#include "halftone/core/file.hpp"
#include "halftone/data/torch_file.hpp"

namespace halftone::internal {

namespace {

std::string listed(const std::vector<std::string>& items) {
  constexpr std::size_t kMost = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(items.size(), kMost); ++i) text += "\n  " + items[i];
  if (items.size() > kMost) text += message("\n  … and ", items.size() - kMost, " more");
  return text;
}

/// One tensor of a file, which may be read when it is needed.
struct StoredWeight {
  std::string name;
  std::vector<std::int64_t> shape;
  std::function<at::Tensor()> read;
};

std::vector<StoredWeight> open_safetensors(const WeightsFile& weights) {
  const auto file = std::make_shared<SafetensorsFile>(weights.path);
  if (!weights.options.dictionary.empty())
    throw Error(Errc::InvalidArgument, message('"', weights.path,
                                               "\" is a safetensors file, one dictionary of tensors: "
                                               "there is no \"",
                                               weights.options.dictionary, "\" in it; name none"));
  std::vector<StoredWeight> stored;
  for (const auto& entry : file->entries())
    stored.push_back({entry.name, entry.shape, [file, &entry] { return to_tensor(entry); }});
  return stored;
}

std::vector<StoredWeight> open_torch_file(const WeightsFile& weights) {
  std::vector<StoredWeight> stored;
  for (const auto& [name, tensor] : read_state_dict(weights.path, weights.options.dictionary))
    stored.push_back({name, tensor.sizes().vec(), [tensor = tensor] { return tensor; }});
  return stored;
}

/// By the names that they have in the network.
std::map<std::string, StoredWeight> open_weights(const WeightsFile& weights) {
  const FileForm form = form_of(MappedFile(weights.path).bytes(), weights.path);
  const bool is_safetensors =
      form == FileForm::Safetensors || (form == FileForm::Unknown && weights.path.ends_with(".safetensors"));
  std::vector<StoredWeight> stored = is_safetensors ? open_safetensors(weights) : open_torch_file(weights);
  std::vector<std::string> names;
  for (const auto& weight : stored) names.push_back(weight.name);
  names = weights.options.names.map(std::move(names));
  std::map<std::string, StoredWeight> by_name;
  for (std::size_t i = 0; i < stored.size(); ++i)
    if (!names[i].empty()) by_name.emplace(names[i], std::move(stored[i]));
  return by_name;
}

}  // namespace

void load_weights(const WeightsFile& weights, const std::string& architecture,
                  const std::vector<NamedTensor>& parameters, const std::vector<std::string>& left_out) {
  const at::NoGradGuard no_grad;
  auto stored = open_weights(weights);
  std::vector<std::string> problems;
  bool any_missing = false;
  for (const auto& [name, tensor, is_buffer] : parameters) {
    const auto weight = stored.extract(name);
    if (weight.empty()) {
      if (name.ends_with("num_batches_tracked")) continue;
      problems.push_back(message('"', name, "\" is missing"));
      any_missing = true;
    } else if (at::IntArrayRef shape = weight.mapped().shape; shape != tensor.sizes()) {
      problems.push_back(message('"', name, "\" has shape ", shape, ", the network needs ", tensor.sizes()));
    } else {
      tensor.copy_(weight.mapped().read());
    }
  }
  std::erase_if(stored, [&](const auto& weight) {
    return std::any_of(left_out.begin(), left_out.end(),
                       [&](const std::string& beginning) { return weight.first.starts_with(beginning); });
  });
  for (const auto& [name, unused] : stored) problems.push_back(internal::quoted(name) + " is not part of the network");
  const std::string hint = !any_missing || stored.empty()
                               ? ""
                               : message("\nNames in the file, such as ", internal::quoted(stored.begin()->first),
                                         ", can be changed by rules: --rename FROM=TO");
  if (!problems.empty())
    throw Error(Errc::BadFile,
                message('"', weights.path, "\" does not hold the weights of ", architecture, " (", problems.size(),
                        problems.size() == 1 ? " problem" : " problems", "):", listed(problems), hint));
}

}  // namespace halftone::internal
