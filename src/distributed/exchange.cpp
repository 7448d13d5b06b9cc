#include "distributed/exchange.hpp"

#include <memory>

#include "distributed/reduce.hpp"

namespace halftone::internal {
namespace {

using Works = std::vector<std::unique_ptr<PendingWork>>;

void wait_all(const Works& works) {
  for (const auto& work : works) work->wait();
}

}  // namespace

std::vector<std::int64_t> even_parts(std::int64_t count, int parts) {
  std::vector<std::int64_t> begins;
  for (int part = 0; part <= parts; ++part)
    begins.push_back(part * (count / parts) + std::min<std::int64_t>(part, count % parts));
  return begins;
}

std::unique_ptr<PendingWork> Exchange::send(const void* data, std::size_t bytes, int to) {
  traffic_.bytes += static_cast<std::int64_t>(bytes);
  ++traffic_.messages;
  return transport_.send(data, bytes, members_[static_cast<std::size_t>(to)], slot_);
}

std::unique_ptr<PendingWork> Exchange::receive(void* data, std::size_t bytes, int from) {
  return transport_.receive(data, bytes, members_[static_cast<std::size_t>(from)], slot_);
}

void Exchange::reduce_scatter(const std::byte* input, std::byte* output, std::span<const std::int64_t> begins,
                              c10::ScalarType type, ReduceOp op, Scratch& scratch) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(type));
  const auto begin = [&](int part) { return begins[static_cast<std::size_t>(part)] * element; };
  const auto bytes = [&](int part) { return static_cast<std::size_t>(begin(part + 1) - begin(part)); };
  const std::size_t own = bytes(rank_);
  std::byte* const arrived = scratch.get(own * static_cast<std::size_t>(size() - 1));
  std::vector<const void*> parts;
  Works receives;
  Works sends;
  for (int other = 0; other < size(); ++other) {
    std::byte* const place = arrived + own * receives.size();
    parts.push_back(other == rank_ ? input + begin(rank_) : place);
    if (other != rank_ && own > 0) receives.push_back(receive(place, own, other));
  }
  for (int step = 1; step < size(); ++step) {  // each rank starts with another
    const int other = (rank_ + step) % size();
    if (bytes(other) > 0) sends.push_back(send(input + begin(other), bytes(other), other));
  }
  wait_all(receives);
  reduce(type, op, parts, output, static_cast<std::int64_t>(own) / element);
  wait_all(sends);
}

void Exchange::all_gather(std::byte* all, std::span<const std::int64_t> begins) {
  const auto begin = [&](int part) { return begins[static_cast<std::size_t>(part)]; };
  const auto bytes = [&](int part) { return static_cast<std::size_t>(begin(part + 1) - begin(part)); };
  Works works;
  for (int other = 0; other < size(); ++other)
    if (other != rank_ && bytes(other) > 0) works.push_back(receive(all + begin(other), bytes(other), other));
  for (int step = 1; step < size() && bytes(rank_) > 0; ++step)
    works.push_back(send(all + begin(rank_), bytes(rank_), (rank_ + step) % size()));
  wait_all(works);
}

void Exchange::broadcast(std::byte* data, std::size_t bytes, int root) {
  if (bytes == 0) return;
  // A binomial tree: in the step of 2^k, those who have it, the first 2^k after the root, pass it on.
  const int place = (rank_ - root + size()) % size();
  const auto rank_at = [&](int position) { return (position + root) % size(); };
  Works sends;
  for (int step = 1; step < size(); step *= 2) {
    if (place < step && place + step < size()) sends.push_back(send(data, bytes, rank_at(place + step)));
    if (place >= step && place < 2 * step) receive(data, bytes, rank_at(place - step))->wait();
  }
  wait_all(sends);
}

void Exchange::barrier() {
  // In the step of 2^k every rank hears from the one 2^k before it, and so from the 2^(k + 1) before it.
  for (int step = 1; step < size(); step *= 2) {
    const std::byte sent{};
    std::byte received{};
    const auto arrival = receive(&received, 1, (rank_ - step + size()) % size());
    send(&sent, 1, (rank_ + step) % size())->wait();
    arrival->wait();
  }
}

}  // namespace halftone::internal
