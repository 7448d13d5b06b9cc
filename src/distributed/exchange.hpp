#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "distributed/transport.hpp"

namespace halftone::internal {

/// Memory that one collective after another uses: fresh memory costs as much time as it takes to fill it.
class Scratch {
 public:
  /// At least so many bytes, until the next call; what they hold is not said.
  std::byte* get(std::size_t bytes) {
    if (bytes > size_) {
      memory_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
      size_ = bytes;
    }
    return memory_.get();
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t size_ = 0;
};

/// One collective of some ranks of a transport, in messages of one slot of its own.
class Exchange {
 public:
  /// Borrows both. `members` are ranks of the transport; this one is `members[rank]`.
  Exchange(Transport& transport, std::span<const int> members, int rank, std::uint32_t slot)
      : transport_(transport), members_(members), rank_(rank), slot_(slot) {}

  /// Elements [begins[r], begins[r + 1]) of `input` are rank r's; what all ranks have for this one goes to `output`,
  /// which may lie in `input`. What comes in lies in `scratch`.
  void reduce_scatter(const std::byte* input, std::byte* output, std::span<const std::int64_t> begins,
                      c10::ScalarType type, ReduceOp op, Scratch& scratch);
  /// Bytes [begins[r], begins[r + 1]) of `all` become those of rank r, whose own are there already.
  void all_gather(std::byte* all, std::span<const std::int64_t> begins);
  void broadcast(std::byte* data, std::size_t bytes, int root);
  void barrier();

  [[nodiscard]] const Traffic& traffic() const { return traffic_; }

 private:
  using Works = std::vector<std::unique_ptr<PendingWork>>;

  /// Add the messages to `works`, in pieces, first to last: a message that fits into what a socket takes at once needs
  /// no second turn of either process, and what arrived is added while the rest is on its way.
  void start_send(const std::byte* data, std::size_t bytes, int to, Works& works);
  void start_receive(std::byte* data, std::size_t bytes, int from, Works& works);
  [[nodiscard]] int size() const { return static_cast<int>(members_.size()); }

  Transport& transport_;
  std::span<const int> members_;
  int rank_;
  std::uint32_t slot_;
  Traffic traffic_;
};

/// Where the parts of `count` elements for `parts` ranks begin, and the last ends; lengths differ by one at most.
std::vector<std::int64_t> even_parts(std::int64_t count, int parts);

}  // namespace halftone::internal
