#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace halftone {

enum class ReduceOp { Sum, Max };

/// A collective under way. Tensors that were handed over stay untouched until `wait` returned.
class PendingWork {
 public:
  virtual ~PendingWork() = default;
  /// Once; throws as the collective that began it.
  virtual void wait() = 0;
};

/// What a rank sent in calls that returned, for tests of what a method costs.
struct Traffic {
  std::int64_t bytes = 0;  ///< of payload that left this rank
  std::int64_t messages = 0;
};

/// One of `size()` ranks that work on one job: processes, or threads of one. All ranks make the same calls in the same
/// order, with tensors of equal shapes and dtypes where nothing else is said; calls return once this rank's part is
/// done. Tensors are contiguous and on the CPU or where the engine behind it works. Results are the same on every rank,
/// bit for bit, and the same in every run on as many ranks: engines of Halftone add in the order of ranks, element by
/// element, so that neither the engine nor how a tensor is cut changes a bit. One thread of a rank calls at a time.
///
/// Throws `InvalidArgument` for tensors that do not fit, and `LostRank`, naming the rank, where one ended or does not
/// answer; nothing may be asked of a communicator afterwards.
class Communicator {
 public:
  virtual ~Communicator() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// Which engine moves the bytes: "gloo", "mpi", "threads", "none".
  [[nodiscard]] virtual std::string engine() const = 0;

  /// Every rank's `tensor` becomes the sum, or maximum, of all; of booleans both are "or", and one NaN makes a NaN.
  /// Traffic: 2 (P - 1) / P of its bytes, on average over ranks where P does not divide its length.
  void all_reduce(const at::Tensor& tensor, ReduceOp op = ReduceOp::Sum);
  /// The same under way beside other work; several are finished in the order in which they began.
  [[nodiscard]] std::unique_ptr<PendingWork> start_all_reduce(const at::Tensor& tensor, ReduceOp op = ReduceOp::Sum);
  /// `input` [P n, ...] holds a part for each rank; `output` [n, ...] becomes the sum of all ranks' parts for this one.
  /// Traffic: (P - 1) / P of the input's bytes.
  void reduce_scatter(const at::Tensor& input, const at::Tensor& output);
  /// `output` [P n, ...] becomes the `input` [n, ...] of rank 0, 1, ... Traffic: P - 1 times the input's bytes.
  void all_gather(const at::Tensor& input, const at::Tensor& output);
  /// Every rank's `tensor` becomes that of rank `root`. Traffic: P - 1 times its bytes over all ranks.
  void broadcast(const at::Tensor& tensor, int root = 0);
  void barrier();

  /// To another rank, which receives it; `tag`, below 2^20, tells messages between the same two ranks apart. Sending
  /// may wait for the receiver: two ranks that exchange start at least one of both.
  void send(const at::Tensor& tensor, int to, int tag = 0) { start_send(tensor, to, tag)->wait(); }
  void receive(const at::Tensor& tensor, int from, int tag = 0) { start_receive(tensor, from, tag)->wait(); }
  [[nodiscard]] std::unique_ptr<PendingWork> start_send(const at::Tensor& tensor, int to, int tag = 0);
  [[nodiscard]] std::unique_ptr<PendingWork> start_receive(const at::Tensor& tensor, int from, int tag = 0);

  /// Communicators of parts of this one: ranks that give the same color, from 0, share one, in the order of their ranks
  /// here. All ranks call; what comes lives no longer than this, and counts its traffic apart. Where one goes while a
  /// sum that it began is under way, as by an exception, its rank takes no more part in the whole job; others that wait
  /// for it are told once the communicator of all ranks goes too.
  [[nodiscard]] std::unique_ptr<Communicator> split(int color);

  /// Bytes of any length: every rank gets all ranks', by rank. Traffic: P - 1 times 8 bytes and the longest.
  [[nodiscard]] std::vector<std::string> gather_bytes(const std::string& bytes);
  /// Every rank gets those of rank `root`.
  [[nodiscard]] std::string broadcast_bytes(const std::string& bytes, int root = 0);

  [[nodiscard]] const Traffic& traffic() const { return traffic_; }

 protected:
  Traffic traffic_;

 private:
  virtual std::unique_ptr<PendingWork> do_all_reduce(const at::Tensor& tensor, ReduceOp op) = 0;
  /// The same where nobody has other work meanwhile.
  virtual void do_all_reduce_now(const at::Tensor& tensor, ReduceOp op) { do_all_reduce(tensor, op)->wait(); }
  virtual void do_reduce_scatter(const at::Tensor& input, const at::Tensor& output) = 0;
  virtual void do_all_gather(const at::Tensor& input, const at::Tensor& output) = 0;
  virtual void do_broadcast(const at::Tensor& tensor, int root) = 0;
  virtual void do_barrier() = 0;
  virtual std::unique_ptr<PendingWork> do_send(const at::Tensor& tensor, int to, int tag) = 0;
  virtual std::unique_ptr<PendingWork> do_receive(const at::Tensor& tensor, int from, int tag) = 0;
  virtual std::unique_ptr<Communicator> do_split(int color) = 0;
};

/// The one rank of a job of one: collectives give back what they get, at no cost.
std::unique_ptr<Communicator> make_single_communicator();

/// Ranks that are threads of this process, one communicator each, for tests and for trying things out; each belongs to
/// the thread that uses it. Where one is destroyed while others wait for it, they throw `LostRank`.
std::vector<std::unique_ptr<Communicator>> make_thread_communicators(int size);

}  // namespace halftone
