#include "models/weights.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <set>

#include "data/entry_tensor.hpp"

namespace halftone::internal {

namespace {

std::string listed(const std::vector<std::string>& items) {
  constexpr std::size_t kMost = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(items.size(), kMost); ++i) text += "\n  " + items[i];
  if (items.size() > kMost) text += message("\n  … and ", items.size() - kMost, " more");
  return text;
}

}  // namespace

void load_weights(const std::string& path, const std::string& architecture,
                  const std::vector<NamedTensor>& parameters) {
  const at::NoGradGuard no_grad;
  const SafetensorsFile file(path);
  std::vector<std::string> problems;
  std::set<std::string> known;
  for (const auto& [name, tensor, is_buffer] : parameters) {
    known.insert(name);
    const SafetensorsEntry* entry = file.find(name);
    if (entry == nullptr) {
      if (!name.ends_with("num_batches_tracked")) problems.push_back(message('"', name, "\" is missing"));
    } else if (at::IntArrayRef(entry->shape) != tensor.sizes()) {
      problems.push_back(
          message('"', name, "\" has shape ", at::IntArrayRef(entry->shape), ", the network needs ", tensor.sizes()));
    } else {
      tensor.copy_(to_tensor(*entry));
    }
  }
  for (const auto& entry : file.entries())
    if (!known.contains(entry.name)) problems.push_back(message('"', entry.name, "\" is not part of the network"));
  if (!problems.empty())
    throw Error(Errc::BadFile,
                message('"', path, "\" does not hold the weights of ", architecture, " (", problems.size(),
                        problems.size() == 1 ? " problem" : " problems", "):", listed(problems)));
}

}  // namespace halftone::internal
