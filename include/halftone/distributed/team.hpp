#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "halftone/core/monitor.hpp"
#include "halftone/distributed/communicator.hpp"

namespace halftone {

/// Ranks that do one job of Halftone's together: every rank runs the same program on the same network, data and
/// options, work over batches of samples is split among them, and each gets all results, so that all come to the same
/// decisions. What happens on one rank, an error or a wish to stop, reaches all of them at the next exchange.
///
/// Members but `stopped` are called by one thread, in the same order on all ranks.
class Team {
 public:
  /// Borrows `communicator`. `wishes_to_stop`: of this rank alone, as `Monitor::should_stop`; may be empty.
  explicit Team(Communicator& communicator, std::function<bool()> wishes_to_stop = {});

  [[nodiscard]] int rank() const { return communicator_.rank(); }
  [[nodiscard]] int size() const { return communicator_.size(); }
  /// What ranks exchange by; between calls of members it may serve for other things, on all ranks alike.
  [[nodiscard]] Communicator& communicator() const { return communicator_; }
  [[nodiscard]] bool is_first() const { return rank() == 0; }

  /// Every rank's bytes, by rank. `what` says what is being done, for people and so that ranks which do different
  /// things are told: throws `InvalidArgument` naming them. `failure`, where it is not null, is thrown here, and on the
  /// other ranks as an `Error` that names this one. Throws `LostRank` as the communicator.
  [[nodiscard]] std::vector<std::string> exchange(const std::string& what, const std::string& bytes,
                                                  const std::exception_ptr& failure = nullptr);
  /// What `make` gives on rank 0, where alone it is called; what it throws is thrown on all ranks, but for `Stopped`,
  /// which is a wish to stop.
  [[nodiscard]] std::string share_first(const std::string& what, const std::function<std::string()>& make);
  /// The same, but throws `Stopped` where any rank wishes to stop.
  [[nodiscard]] std::string from_first(const std::string& what, const std::function<std::string()>& make);
  /// Throws `InvalidArgument` on all ranks where they do not give the same text: see agreement.hpp.
  void require_same(const std::string& what, const std::string& text);

  /// `work()`; where it throws what the other ranks do not know of, they are told at their next exchange.
  template <class Work>
  auto share_failures(const Work& work) {
    try {
      return work();
    } catch (...) {
      tell(std::current_exception());
      throw;
    }
  }

  /// Whether any rank wished to stop, as of the last exchange: the same on all ranks. May be called by any thread.
  [[nodiscard]] bool stopped() const { return stopped_; }
  /// Whether this rank wishes to stop; once it did, it does.
  [[nodiscard]] bool wishes_to_stop();
  void wish_to_stop() { wish_ = true; }
  /// Seconds since this began, by the clock of rank 0, as of the last exchange: the same on all ranks.
  [[nodiscard]] double seconds() const { return seconds_; }

  /// `own`, as far as it may be used in a team: progress and messages of rank 0, and stops as all agreed.
  [[nodiscard]] Monitor monitor(const Monitor& own) const;

 private:
  void tell(const std::exception_ptr& failure) noexcept;

  Communicator& communicator_;
  std::function<bool()> wishes_to_stop_;
  std::atomic<bool> wish_ = false;
  std::atomic<bool> stopped_ = false;
  double seconds_ = 0;
  bool is_over_ = false;  ///< all ranks know that one failed, or one is lost
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace halftone
