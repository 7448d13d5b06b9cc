#include "evaluate/visiting_order.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

namespace halftone::internal {

std::vector<std::int64_t> most_fragile_first(const at::Tensor& fragility) {
  const at::Tensor values = fragility.contiguous();
  const std::span by_sample(values.const_data_ptr<double>(), static_cast<std::size_t>(values.numel()));
  std::vector<std::int64_t> order(by_sample.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return by_sample[static_cast<std::size_t>(a)] > by_sample[static_cast<std::size_t>(b)];
  });
  return order;
}

bool are_batched(const Outputs& outputs, std::int64_t batch_size, std::int64_t samples) {
  for (std::size_t b = 0; b < outputs.size(); ++b) {
    const std::int64_t size = std::min(batch_size, samples - static_cast<std::int64_t>(b) * batch_size);
    for (const at::Tensor& output : outputs[b])
      if (output.dim() == 0 || output.size(0) != size) return false;
  }
  return true;
}

Outputs in_order(Outputs outputs, std::span<const std::int64_t> order, std::int64_t batch_size) {
  for (std::size_t k = 0; k < outputs.at(0).size(); ++k) {
    std::vector<at::Tensor> parts;
    for (auto& batch : outputs) parts.push_back(std::move(batch[k]));
    const at::Tensor all = at::cat(std::exchange(parts, {}));
    const at::Tensor indices = at::tensor(at::ArrayRef<std::int64_t>(order.data(), order.size()), at::kLong);
    const auto batches = all.index_select(0, indices.to(all.device())).split(batch_size);
    for (std::size_t b = 0; b < batches.size(); ++b) outputs[b][k] = batches[b];
  }
  outputs.resize((order.size() + static_cast<std::size_t>(batch_size) - 1) / static_cast<std::size_t>(batch_size));
  return outputs;
}

}  // namespace halftone::internal
