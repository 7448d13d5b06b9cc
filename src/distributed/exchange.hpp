#pragma once

#include <c10/core/ScalarType.h>

#include <algorithm>
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
  /// The same in place, and all ranks get all results: a piece that is added is sent on while others come.
  void all_reduce(std::byte* data, std::span<const std::int64_t> begins, c10::ScalarType type, ReduceOp op,
                  Scratch& scratch);
  /// Bytes [begins[r], begins[r + 1]) of `all` become those of rank r, whose own are there already.
  void all_gather(std::byte* all, std::span<const std::int64_t> begins);
  void broadcast(std::byte* data, std::size_t bytes, int root);
  void barrier();

  [[nodiscard]] const Traffic& traffic() const { return traffic_; }

 private:
  using Works = std::vector<std::unique_ptr<PendingWork>>;

  static constexpr std::size_t kPiece = std::size_t{1} << 20;  ///< bytes; whole elements of every type

  /// A reduce-scatter under way: all messages are begun, and added piece by piece.
  class Reduction {
   public:
    Reduction(Exchange& exchange, const std::byte* input, std::span<const std::int64_t> begins, c10::ScalarType type,
              ReduceOp op, Scratch& scratch);
    /// Waits for a piece of this rank's part from all others and writes its sum to its place in `output`.
    void add(std::size_t piece, std::byte* output);
    void wait_sent(int to, std::size_t piece) { sends_[static_cast<std::size_t>(to)][piece]->wait(); }

    /// In bytes.
    [[nodiscard]] std::size_t begin(int rank) const {
      return static_cast<std::size_t>(begins_[static_cast<std::size_t>(rank)] * element_);
    }
    [[nodiscard]] std::size_t bytes(int rank) const { return begin(rank + 1) - begin(rank); }
    [[nodiscard]] std::size_t pieces_of(int rank) const { return (bytes(rank) + kPiece - 1) / kPiece; }
    [[nodiscard]] std::size_t length_of(int rank, std::size_t piece) const {
      return std::min(kPiece, bytes(rank) - piece * kPiece);
    }

   private:
    Exchange& exchange_;
    std::span<const std::int64_t> begins_;
    std::int64_t element_;
    c10::ScalarType type_;
    ReduceOp op_;
    std::vector<const std::byte*> values_;  ///< by rank: of this rank's part
    Works receives_;                        ///< by other rank, then piece
    std::vector<Works> sends_;              ///< by rank, then piece
  };

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
