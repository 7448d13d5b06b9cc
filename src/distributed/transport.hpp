#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "halftone/distributed/communicator.hpp"

namespace halftone::internal {

/// Moves bytes between two ranks: what an engine does for a MessageCommunicator, which makes all collectives of it.
/// Several threads of a rank may call. A message is received by the first receive of its sender and slot that is not
/// taken, of as many bytes. Throws `LostRank`.
class Transport {
 public:
  Transport() = default;
  Transport(Transport&&) = delete;
  Transport& operator=(Transport&&) = delete;
  virtual ~Transport() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  [[nodiscard]] virtual std::string engine() const = 0;

  /// `data` stays untouched until `wait` returned; a slot is below 2^31.
  virtual std::unique_ptr<PendingWork> send(const void* data, std::size_t bytes, int to, std::uint32_t slot) = 0;
  virtual std::unique_ptr<PendingWork> receive(void* data, std::size_t bytes, int from, std::uint32_t slot) = 0;

  /// This rank begins a collective, for those who look for ranks that are behind.
  virtual void count_collective() {}
  /// This rank takes no further part; waits under way here throw.
  virtual void leave() = 0;

  /// Number of communicators that were split off, as far as this rank knows.
  int groups = 0;
};

}  // namespace halftone::internal
