#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/batches.hpp"
#include "halftone/distributed/team.hpp"

namespace halftone::internal {

/// What is known of one batch, in tensors whose number and meaning are the caller's.
using BatchResult = std::vector<at::Tensor>;

/// Makes the result of one batch; nothing when stopped. In parallel, as `BatchFn`.
using MakeFn = std::function<std::optional<BatchResult>(const BatchRange& batch, std::size_t worker)>;
/// Takes a result in, on every rank; in parallel for different batches. Results that another rank made are on the CPU.
using TakeFn = std::function<void(const BatchRange& batch, BatchResult result)>;

/// `for_each_batch`, with batch i made on rank i mod P and taken on every rank, so that all ranks end with what one
/// would have: `take`, and `settled` in ascending order, are called for the same batches. `team` null: this process
/// alone. The ranks exchange results a few times in a pass; where one fails, or wishes to stop, all of them do. `what`
/// is `Team::exchange`'s.
bool share_batches(Team* team, const std::string& what, const BatchLoop& loop, const Monitor& monitor,
                   const MakeFn& make, const TakeFn& take, const SettledFn& settled = {});

/// Tensors on the CPU as bytes and back, bit for bit.
std::string pack(const BatchResult& tensors);
/// Throws `Internal` for what `pack` did not make.
BatchResult unpack(const std::string& bytes);

}  // namespace halftone::internal
