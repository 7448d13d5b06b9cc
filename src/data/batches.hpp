#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "halftone/core/monitor.hpp"

namespace halftone::internal {

/// Samples begin to end-1: batch `index` of a pass.
struct BatchRange {
  std::int64_t index = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

struct BatchLoop {
  std::int64_t samples = 0;
  std::int64_t batch_size = 1;
  int threads = 1;
  std::string_view stage;  ///< as in `Progress`
  std::string_view detail{};

  [[nodiscard]] std::int64_t batches() const { return (samples + batch_size - 1) / batch_size; }
  [[nodiscard]] BatchRange range(std::int64_t index) const {
    const std::int64_t begin = index * batch_size;
    return {index, begin, std::min(begin + batch_size, samples)};
  }
  /// Threads that can be busy at once.
  [[nodiscard]] std::size_t workers() const;
};

/// What to do with one batch; `worker` is in [0, loop.workers()), and no two calls at one time share it.
using BatchFn = std::function<void(const BatchRange& batch, std::size_t worker)>;

/// Told of every batch, in ascending order, once it and all before it are done; one call at a time, on any thread,
/// other threads waiting. True ends the loop: batches beyond this one, done or under way, are as if never asked for.
using SettledFn = std::function<bool(const BatchRange& batch)>;

/// Calls `work` once for every batch of [0, loop.samples), on the calling thread and `loop.workers()` - 1 more (so one
/// thread creates none). Which worker gets which batch is not fixed: store results by batch, or merge them by an
/// operation whose order cannot matter.
///
/// Inside `work` gradients are off, other thread-local state (inference mode, autocast) is the caller's, and LibTorch
/// uses one OpenMP thread, whose count is restored at the end. That count is a setting of the process: threads that
/// start LibTorch work meanwhile see it.
///
/// The monitor is called on the calling thread only, about once a batch; unless stopped, its last report is of the
/// total. Returns whether all batches were done, or enough of them for `settled`; false where `monitor.stopped()`. An
/// exception ends the loop and reaches the caller; where several batches throw, that of the lowest index does.
bool for_each_batch(const BatchLoop& loop, const Monitor& monitor, const BatchFn& work, const SettledFn& settled = {});

}  // namespace halftone::internal
