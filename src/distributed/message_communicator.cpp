#include "distributed/message_communicator.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <future>
#include <numeric>
#include <utility>

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

// A slot: one bit for messages of collectives or of users, then the communicator, then a count or the user's tag.
constexpr int kGroupLimit = 1 << 10;
constexpr std::uint32_t kGroupShift = 20;
constexpr std::uint32_t kCountMask = (1U << kGroupShift) - 1;
constexpr std::uint32_t kCollective = 1U << 30;

std::byte* bytes_of(const at::Tensor& tensor) { return static_cast<std::byte*>(tensor.data_ptr()); }

void require_cpu(const at::Tensor& tensor) {
  if (!tensor.is_cpu())
    throw Error(Errc::InvalidArgument,
                message("a tensor between ranks is on ", tensor.device(), ": this communicator needs it on the CPU"));
}

void add(Traffic& total, const Traffic& more) {
  total.bytes += more.bytes;
  total.messages += more.messages;
}

struct Done final : PendingWork {
  void wait() override {}
};

/// Keeps the tensor of a message until it is through.
class Kept final : public PendingWork {
 public:
  Kept(at::Tensor tensor, std::unique_ptr<PendingWork> work) : tensor_(std::move(tensor)), work_(std::move(work)) {}
  void wait() override { work_->wait(); }

 private:
  at::Tensor tensor_;  ///< destroyed after the work that uses it
  std::unique_ptr<PendingWork> work_;
};

}  // namespace

/// An all-reduce that waits for its turn, or is under way.
class Job {
 public:
  Job(const MessageCommunicator& ranks, at::Tensor tensor, ReduceOp op, std::uint32_t slot)
      : tensor_(std::move(tensor)),
        op_(op),
        exchange_(*ranks.transport_, ranks.members_, ranks.rank_, slot),
        rank_(ranks.rank_),
        size_(ranks.size()) {}
  void run(Scratch& scratch) noexcept {
    try {
      exchange_.all_reduce(bytes_of(tensor_), even_parts(tensor_.numel(), size_), tensor_.scalar_type(), op_, scratch);
      is_done_ = true;  // before anyone may go on
      done_.set_value();
    } catch (...) {
      is_done_ = true;
      done_.set_exception(std::current_exception());
    }
  }
  [[nodiscard]] bool is_done() const { return is_done_; }
  /// What it sent.
  Traffic wait() {
    done_.get_future().get();
    return exchange_.traffic();
  }
  void give_up() {
    done_.set_exception(std::make_exception_ptr(
        Error(Errc::LostRank, message("rank ", rank_, " left before an all-reduce that it began"))));
  }

 private:
  at::Tensor tensor_;
  ReduceOp op_;
  Exchange exchange_;
  int rank_;
  int size_;
  std::promise<void> done_;
  std::atomic<bool> is_done_{false};
};

namespace {

class PendingJob final : public PendingWork {
 public:
  PendingJob(std::shared_ptr<Job> job, Traffic& traffic) : job_(std::move(job)), traffic_(traffic) {}
  void wait() override { add(traffic_, job_->wait()); }

 private:
  std::shared_ptr<Job> job_;
  Traffic& traffic_;  ///< of the communicator, which outlives this
};

}  // namespace

MessageCommunicator::MessageCommunicator(std::shared_ptr<Transport> transport)
    : transport_(std::move(transport)),
      members_(static_cast<std::size_t>(transport_->size())),
      rank_(transport_->rank()),
      group_(0) {
  std::iota(members_.begin(), members_.end(), 0);
}

MessageCommunicator::MessageCommunicator(std::shared_ptr<Transport> transport, std::vector<int> members, int rank,
                                         int group)
    : transport_(std::move(transport)), members_(std::move(members)), rank_(rank), group_(group) {}

MessageCommunicator::~MessageCommunicator() {
  bool abandons = false;
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
    abandons = !jobs_.empty() || (running_ && !running_->is_done());
  }
  changed_.notify_one();
  // A sum that nobody waited for, as where an exception ended this rank's work, may wait for ranks that never come, and
  // others for this one.
  if (group_ == 0 || abandons) transport_->leave();
  if (worker_.joinable()) worker_.join();
  for (const auto& job : jobs_) job->give_up();
}

std::uint32_t MessageCommunicator::next_slot() {
  transport_->count_collective();
  return kCollective | static_cast<std::uint32_t>(group_) << kGroupShift | (collectives_++ & kCountMask);
}

void MessageCommunicator::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stops_ || !jobs_.empty(); });
    if (stops_) return;
    running_ = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    running_->run(jobs_scratch_);
    lock.lock();
    running_.reset();
  }
}

std::unique_ptr<PendingWork> MessageCommunicator::do_all_reduce(const at::Tensor& tensor, ReduceOp op) {
  require_cpu(tensor);
  auto job = std::make_shared<Job>(*this, tensor, op, next_slot());
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(job);
    if (!worker_.joinable()) worker_ = std::thread([this] { work(); });
  }
  changed_.notify_one();
  return std::make_unique<PendingJob>(std::move(job), traffic_);
}

void MessageCommunicator::do_all_reduce_now(const at::Tensor& tensor, ReduceOp op) {
  require_cpu(tensor);
  Exchange exchange(*transport_, members_, rank_, next_slot());
  exchange.all_reduce(bytes_of(tensor), even_parts(tensor.numel(), size()), tensor.scalar_type(), op, scratch_);
  add(traffic_, exchange.traffic());
}

void MessageCommunicator::do_reduce_scatter(const at::Tensor& input, const at::Tensor& output) {
  require_cpu(input);
  require_cpu(output);
  Exchange exchange(*transport_, members_, rank_, next_slot());
  exchange.reduce_scatter(bytes_of(input), bytes_of(output), even_parts(input.numel(), size()), input.scalar_type(),
                          ReduceOp::Sum, scratch_);
  add(traffic_, exchange.traffic());
}

void MessageCommunicator::do_all_gather(const at::Tensor& input, const at::Tensor& output) {
  require_cpu(input);
  require_cpu(output);
  const auto begins = even_parts(static_cast<std::int64_t>(output.nbytes()), size());
  std::byte* const own = bytes_of(output) + begins[static_cast<std::size_t>(rank_)];
  if (input.nbytes() > 0 && bytes_of(input) != own) std::memmove(own, bytes_of(input), input.nbytes());
  Exchange exchange(*transport_, members_, rank_, next_slot());
  exchange.all_gather(bytes_of(output), begins);
  add(traffic_, exchange.traffic());
}

void MessageCommunicator::do_broadcast(const at::Tensor& tensor, int root) {
  require_cpu(tensor);
  Exchange exchange(*transport_, members_, rank_, next_slot());
  exchange.broadcast(bytes_of(tensor), tensor.nbytes(), root);
  add(traffic_, exchange.traffic());
}

void MessageCommunicator::do_barrier() {
  Exchange exchange(*transport_, members_, rank_, next_slot());
  exchange.barrier();
  add(traffic_, exchange.traffic());
}

std::unique_ptr<PendingWork> MessageCommunicator::do_send(const at::Tensor& tensor, int to, int tag) {
  require_cpu(tensor);
  if (tensor.nbytes() == 0) return std::make_unique<Done>();
  add(traffic_, {.bytes = static_cast<std::int64_t>(tensor.nbytes()), .messages = 1});
  const auto slot = static_cast<std::uint32_t>(group_) << kGroupShift | static_cast<std::uint32_t>(tag);
  return std::make_unique<Kept>(
      tensor, transport_->send(tensor.data_ptr(), tensor.nbytes(), members_[static_cast<std::size_t>(to)], slot));
}

std::unique_ptr<PendingWork> MessageCommunicator::do_receive(const at::Tensor& tensor, int from, int tag) {
  require_cpu(tensor);
  if (tensor.nbytes() == 0) return std::make_unique<Done>();
  const auto slot = static_cast<std::uint32_t>(group_) << kGroupShift | static_cast<std::uint32_t>(tag);
  return std::make_unique<Kept>(
      tensor, transport_->receive(tensor.data_ptr(), tensor.nbytes(), members_[static_cast<std::size_t>(from)], slot));
}

std::unique_ptr<Communicator> MessageCommunicator::do_split(int color) {
  const at::Tensor own = at::empty({1, 2}, at::kLong);
  own.data_ptr<std::int64_t>()[0] = color;
  own.data_ptr<std::int64_t>()[1] = transport_->groups;
  const at::Tensor all = at::empty({size(), 2}, at::kLong);
  do_all_gather(own, all);
  std::vector<int> members;
  int rank = 0;
  int groups = 0;
  for (int other = 0; other < size(); ++other) {
    const auto* const given = all.data_ptr<std::int64_t>() + 2 * std::ptrdiff_t{other};
    groups = std::max(groups, static_cast<int>(given[1]));
    if (given[0] != color) continue;
    if (other == rank_) rank = static_cast<int>(members.size());
    members.push_back(members_[static_cast<std::size_t>(other)]);
  }
  // Larger than the number of any communicator that two of these ranks share.
  transport_->groups = groups + 1;
  if (transport_->groups >= kGroupLimit)
    throw Error(Errc::Unsupported, message("split: ", kGroupLimit - 1, " communicators were split off already"));
  return std::unique_ptr<Communicator>(
      new MessageCommunicator(transport_, std::move(members), rank, transport_->groups));
}

}  // namespace halftone::internal
