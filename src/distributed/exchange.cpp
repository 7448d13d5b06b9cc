#include "distributed/exchange.hpp"

#include <algorithm>
#include <utility>

#include "distributed/reduce.hpp"

namespace halftone::internal {
namespace {

void wait_all(const std::vector<std::unique_ptr<PendingWork>>& works) {
  for (const auto& work : works) work->wait();
}

}  // namespace

std::vector<std::int64_t> even_parts(std::int64_t count, int parts) {
  std::vector<std::int64_t> begins;
  for (int part = 0; part <= parts; ++part)
    begins.push_back(part * (count / parts) + std::min<std::int64_t>(part, count % parts));
  return begins;
}

void Exchange::start_send(const std::byte* data, std::size_t bytes, int to, Works& works) {
  for (std::size_t begin = 0; begin < bytes; begin += kPiece) {
    const std::size_t length = std::min(kPiece, bytes - begin);
    traffic_.bytes += static_cast<std::int64_t>(length);
    ++traffic_.messages;
    works.push_back(transport_.send(data + begin, length, members_[static_cast<std::size_t>(to)], slot_));
  }
}

void Exchange::start_receive(std::byte* data, std::size_t bytes, int from, Works& works) {
  for (std::size_t begin = 0; begin < bytes; begin += kPiece)
    works.push_back(transport_.receive(data + begin, std::min(kPiece, bytes - begin),
                                       members_[static_cast<std::size_t>(from)], slot_));
}

Exchange::Reduction::Reduction(Exchange& exchange, const std::byte* input, std::span<const std::int64_t> begins,
                               c10::ScalarType type, ReduceOp op, Scratch& scratch)
    : exchange_(exchange),
      begins_(begins),
      element_(static_cast<std::int64_t>(c10::elementSize(type))),
      type_(type),
      op_(op),
      sends_(static_cast<std::size_t>(exchange.size())) {
  const int rank = exchange.rank_;
  const std::size_t own = bytes(rank);
  std::byte* arrived = scratch.get(own * static_cast<std::size_t>(exchange.size() - 1));
  for (int other = 0; other < exchange.size(); ++other) {
    values_.push_back(other == rank ? input + begin(rank) : arrived);
    if (other == rank) continue;
    exchange.start_receive(arrived, own, other, receives_);
    arrived += own;
  }
  for (int step = 1; step < exchange.size(); ++step) {  // each rank starts with another
    const int other = (rank + step) % exchange.size();
    exchange.start_send(input + begin(other), bytes(other), other, sends_[static_cast<std::size_t>(other)]);
  }
}

void Exchange::Reduction::add(std::size_t piece, std::byte* output) {
  const std::size_t pieces = pieces_of(exchange_.rank_);
  for (std::size_t i = piece; i < receives_.size(); i += pieces) receives_[i]->wait();
  const std::size_t offset = piece * kPiece;
  std::vector<const void*> values;
  for (const std::byte* value : values_) values.push_back(value + offset);
  reduce(type_, op_, values, output + offset, static_cast<std::int64_t>(length_of(exchange_.rank_, piece)) / element_);
}

void Exchange::reduce_scatter(const std::byte* input, std::byte* output, std::span<const std::int64_t> begins,
                              c10::ScalarType type, ReduceOp op, Scratch& scratch) {
  Reduction reduction(*this, input, begins, type, op, scratch);
  for (std::size_t piece = 0; piece < reduction.pieces_of(rank_); ++piece) reduction.add(piece, output);
  for (int other = 0; other < size(); ++other)
    for (std::size_t piece = 0; other != rank_ && piece < reduction.pieces_of(other); ++piece)
      reduction.wait_sent(other, piece);
}

void Exchange::all_reduce(std::byte* data, std::span<const std::int64_t> begins, c10::ScalarType type, ReduceOp op,
                          Scratch& scratch) {
  Reduction reduction(*this, data, begins, type, op, scratch);
  std::size_t pieces = 0;
  for (int rank = 0; rank < size(); ++rank) pieces = std::max(pieces, reduction.pieces_of(rank));
  const auto piece_of = [&](int rank, std::size_t piece) { return data + reduction.begin(rank) + piece * kPiece; };
  Works works;
  for (std::size_t piece = 0; piece < pieces; ++piece) {
    const bool has_own = piece < reduction.pieces_of(rank_);
    if (has_own) reduction.add(piece, data + reduction.begin(rank_));
    for (int step = 1; step < size(); ++step) {
      const int other = (rank_ + step) % size();
      if (has_own) start_send(piece_of(rank_, piece), reduction.length_of(rank_, piece), other, works);
      if (piece >= reduction.pieces_of(other)) continue;
      reduction.wait_sent(other, piece);  // what the result is written over
      start_receive(piece_of(other, piece), reduction.length_of(other, piece), other, works);
    }
  }
  wait_all(works);
}

void Exchange::all_gather(std::byte* all, std::span<const std::int64_t> begins) {
  const auto begin = [&](int part) { return begins[static_cast<std::size_t>(part)]; };
  const auto bytes = [&](int part) { return static_cast<std::size_t>(begin(part + 1) - begin(part)); };
  Works works;
  for (int other = 0; other < size(); ++other)
    if (other != rank_) start_receive(all + begin(other), bytes(other), other, works);
  for (int step = 1; step < size(); ++step)
    start_send(all + begin(rank_), bytes(rank_), (rank_ + step) % size(), works);
  wait_all(works);
}

void Exchange::broadcast(std::byte* data, std::size_t bytes, int root) {
  // A binomial tree: in the step of 2^k, those who have it, the first 2^k after the root, pass it on.
  const int place = (rank_ - root + size()) % size();
  const auto rank_at = [&](int position) { return (position + root) % size(); };
  Works receives;
  Works sends;
  for (int step = 1; step < size(); step *= 2) {
    if (place < step && place + step < size()) start_send(data, bytes, rank_at(place + step), sends);
    if (place >= step && place < 2 * step) start_receive(data, bytes, rank_at(place - step), receives);
    wait_all(std::exchange(receives, {}));
  }
  wait_all(sends);
}

void Exchange::barrier() {
  // In the step of 2^k every rank hears from the one 2^k before it, and so from the 2^(k + 1) before it.
  for (int step = 1; step < size(); step *= 2) {
    const std::byte sent{};
    std::byte received{};
    Works works;
    start_receive(&received, 1, (rank_ - step + size()) % size(), works);
    start_send(&sent, 1, (rank_ + step) % size(), works);
    wait_all(works);
  }
}

}  // namespace halftone::internal
