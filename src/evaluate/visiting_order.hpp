#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace halftone::internal {

/// By batch, then as the network gives them.
using Outputs = std::vector<std::vector<at::Tensor>>;

/// Samples, most fragile first; of equals those that come first. `fragility` is float64 [samples], on the CPU.
std::vector<std::int64_t> most_fragile_first(const at::Tensor& fragility);

/// Whether every output of every batch has one row a sample.
bool are_batched(const Outputs& outputs, std::int64_t batch_size, std::int64_t samples);

/// The outputs at the positions `order` of `outputs`, all of them or fewer, in batches of `batch_size` as before. Needs
/// memory for one output of all samples twice over.
Outputs in_order(Outputs outputs, std::span<const std::int64_t> order, std::int64_t batch_size);

}  // namespace halftone::internal
