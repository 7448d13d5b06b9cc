#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "distributed/exchange.hpp"
#include "distributed/transport.hpp"
#include "halftone/distributed/communicator.hpp"

namespace halftone::internal {

class Job;

/// Collectives made of messages between two ranks each, all ranks with all others at once. Reduce-scatter: every rank
/// sends each other rank that one's part and adds what it gets, with its own, in the order of ranks; all-gather: every
/// rank sends its part to all others; all-reduce: one after the other. This sends as few bytes as a ring and takes two
/// steps instead of 2 (P - 1), sums do not depend on where a tensor is cut, and a rank needs as much memory again as
/// the tensor for what comes in,
/// which is kept for the next. Source: Thakur, Rabenseifner and Gropp, "Optimization of collective communication
/// operations in MPICH", 2005 (pairwise exchange).
class MessageCommunicator final : public Communicator {
 public:
  /// All ranks of `transport`.
  explicit MessageCommunicator(std::shared_ptr<Transport> transport);
  ~MessageCommunicator() override;
  MessageCommunicator(MessageCommunicator&&) = delete;
  MessageCommunicator& operator=(MessageCommunicator&&) = delete;

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return static_cast<int>(members_.size()); }
  [[nodiscard]] std::string engine() const override { return transport_->engine(); }

 private:
  friend class Job;

  MessageCommunicator(std::shared_ptr<Transport> transport, std::vector<int> members, int rank, int group);

  std::unique_ptr<PendingWork> do_all_reduce(const at::Tensor& tensor, ReduceOp op) override;
  void do_all_reduce_now(const at::Tensor& tensor, ReduceOp op) override;
  void do_reduce_scatter(const at::Tensor& input, const at::Tensor& output) override;
  void do_all_gather(const at::Tensor& input, const at::Tensor& output) override;
  void do_broadcast(const at::Tensor& tensor, int root) override;
  void do_barrier() override;
  std::unique_ptr<PendingWork> do_send(const at::Tensor& tensor, int to, int tag) override;
  std::unique_ptr<PendingWork> do_receive(const at::Tensor& tensor, int from, int tag) override;
  std::unique_ptr<Communicator> do_split(int color) override;

  std::uint32_t next_slot();
  void work();

  std::shared_ptr<Transport> transport_;
  std::vector<int> members_;  ///< ranks in the transport, by rank here
  int rank_;
  int group_;  ///< 0: all ranks, whose communicator leaves the transport
  std::uint32_t collectives_ = 0;
  Scratch scratch_;       ///< of the thread that calls
  Scratch jobs_scratch_;  ///< of the thread of what is under way

  /// What start_all_reduce began, run in order by a thread that the first one starts.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::shared_ptr<Job> running_;  ///< null where none is
  bool stops_ = false;
  std::thread worker_;
};

}  // namespace halftone::internal
