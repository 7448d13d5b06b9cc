#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "halftone/distributed/gloo.hpp"

namespace halftone::internal {

/// A wait for another rank that can be cut short. It says nothing then: `Heartbeats` knows why.
class Interruptible {
 public:
  Interruptible() = default;
  Interruptible(Interruptible&&) = delete;
  Interruptible& operator=(Interruptible&&) = delete;
  virtual ~Interruptible() = default;
  /// From another thread, before the wait or during it.
  virtual void interrupt() = 0;

 private:
  friend class Heartbeats;
  std::chrono::milliseconds waited_{0};
};

/// How the ranks of a job know who is lost. One thread writes a sign of life and the number of collectives begun to the
/// store that rank 0 hosts, reads the others', and the verdict: the first loss that any rank found, the same text for
/// all. A second thread, which never blocks, notices where the store itself is silent, and waits that take too long. It
/// counts time in short steps while this process runs, so that one that was stopped itself does not accuse the others.
class Heartbeats {
 public:
  /// Where the store must have what `prepare` puts there before any rank's begin.
  Heartbeats(c10::intrusive_ptr<c10d::Store> store, const GlooOptions& options);
  ~Heartbeats();
  Heartbeats(Heartbeats&&) = delete;
  Heartbeats& operator=(Heartbeats&&) = delete;

  /// Rank 0's, before all else.
  static void prepare(c10d::Store& store);
  /// This rank is there. Where it is already: throws `InvalidArgument`.
  static void announce(c10d::Store& store, const GlooOptions& options);
  /// Returns once all ranks are there; throws `LostRank`, naming those who are not, after `start_timeout`.
  static void await_all(c10d::Store& store, const GlooOptions& options);

  void count_collective();
  /// Around a wait. Entering throws `LostRank` where a rank is lost already; from then on the wait may be interrupted.
  void enter(Interruptible& wait);
  void exit(Interruptible& wait);
  /// The wait was interrupted.
  [[noreturn]] void throw_verdict();
  /// The connection to `peer` broke: the cause may be the loss of another, that made `peer` end.
  [[noreturn]] void report_broken(int peer);
  /// Tells the others that this rank ends, interrupts its waits, and gives those who read rank 0's store time to read.
  void leave();

 private:
  struct State;
  static void talk(const std::shared_ptr<State>& state, c10d::Store& store);
  static void watch(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;  ///< the threads' too
  std::thread talker_;
  std::thread watcher_;
};

}  // namespace halftone::internal
