#include "data/batches.hpp"

#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/openmp_threads.hpp"

namespace halftone::internal {

namespace {

/// What the threads of one loop share.
class Schedule {
 public:
  Schedule(const BatchLoop& loop, const SettledFn& settled)
      : loop_(loop), settled_(settled), is_done_(static_cast<std::size_t>(loop.batches())) {}

  /// The next batch; nothing after the last one, a failure, a stop or once enough is done. Batches leave in ascending
  /// order, so all that precede a failed one are under way by then.
  std::optional<BatchRange> take() {
    const std::lock_guard lock(mutex_);
    if (stopped_ || failure_ || enough_ || next_ >= loop_.batches()) return std::nullopt;
    ++running_;
    return loop_.range(next_++);
  }

  void run(const BatchRange& batch, std::size_t worker, const BatchFn& work) {
    std::exception_ptr failure;
    try {
      work(batch, worker);
    } catch (...) {
      failure = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      --running_;
      if (!failure) failure = finish(batch);
      if (failure && (!failure_ || batch.index < failed_index_)) {
        failure_ = failure;
        failed_index_ = batch.index;
      }
    }
    changed_.notify_one();
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }

  [[nodiscard]] std::int64_t done() const {
    const std::lock_guard lock(mutex_);
    return done_;
  }

  /// Waits for another batch to end, but no longer than a person waits for a stop; false once none is under way.
  bool wait(std::int64_t seen) {
    constexpr std::chrono::milliseconds kPatience(100);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return running_ == 0 || done_ != seen; });
    return running_ > 0;
  }

  /// After the last thread ended. A batch that failed comes after those that were enough.
  [[nodiscard]] bool result() const {
    if (failure_ && !enough_) std::rethrow_exception(failure_);
    return enough_ || done_ == loop_.samples;
  }

 private:
  /// Settles this batch and those behind it that waited for it; gives what that threw.
  std::exception_ptr finish(const BatchRange& batch) {
    done_ += batch.end - batch.begin;
    is_done_[static_cast<std::size_t>(batch.index)] = true;
    try {
      while (settled_ && !enough_ && next_settled_ < loop_.batches() &&
             is_done_[static_cast<std::size_t>(next_settled_)])
        enough_ = settled_(loop_.range(next_settled_++));
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  const BatchLoop& loop_;
  const SettledFn& settled_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t next_ = 0;
  std::int64_t running_ = 0;
  std::int64_t done_ = 0;      ///< samples
  std::vector<bool> is_done_;  ///< by batch
  std::int64_t next_settled_ = 0;
  bool enough_ = false;
  bool stopped_ = false;
  std::exception_ptr failure_;
  std::int64_t failed_index_ = 0;
};

/// Threads that are stopped and joined however the loop is left.
class Crew {
 public:
  explicit Crew(Schedule& schedule) : schedule_(schedule) {}
  ~Crew() {
    schedule_.stop();
    for (auto& thread : threads_) thread.join();
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void add(const BatchFn& work) {
    const std::size_t worker = threads_.size() + 1;
    threads_.emplace_back([&schedule = schedule_, &work, worker, state = at::ThreadLocalState()] {
      const at::ThreadLocalStateGuard callers_state(state);
      const at::NoGradGuard no_gradient;
      at::set_num_threads(1);  // a new thread starts with OpenMP's default, whatever its creator had
      while (const auto batch = schedule.take()) schedule.run(*batch, worker, work);
    });
  }

 private:
  Schedule& schedule_;
  std::vector<std::thread> threads_;
};

/// Tells the monitor how far the loop is and heeds its stop request; gives what it told.
std::int64_t consult(const BatchLoop& loop, const Monitor& monitor, Schedule& schedule) {
  const std::int64_t done = schedule.done();
  monitor.report({.stage = loop.stage, .done = done, .total = loop.samples, .detail = loop.detail});
  if (monitor.stopped()) schedule.stop();
  return done;
}

/// The calling thread's share: batches while there are any, then waiting for the others.
void lead(const BatchLoop& loop, const Monitor& monitor, Schedule& schedule, const BatchFn& work) {
  std::int64_t seen = 0;
  while (const auto batch = schedule.take()) {
    schedule.run(*batch, 0, work);
    seen = consult(loop, monitor, schedule);
  }
  while (schedule.wait(seen)) seen = consult(loop, monitor, schedule);
  if (schedule.done() != seen) consult(loop, monitor, schedule);
}

}  // namespace

std::size_t BatchLoop::workers() const {
  return static_cast<std::size_t>(std::clamp<std::int64_t>(threads, 1, std::max<std::int64_t>(batches(), 1)));
}

bool for_each_batch(const BatchLoop& loop, const Monitor& monitor, const BatchFn& work, const SettledFn& settled) {
  const at::NoGradGuard no_gradient;
  const OpenMpThreads one_thread(1);
  Schedule schedule(loop, settled);
  consult(loop, monitor, schedule);  // before any thread starts: a stop asked for earlier does no work
  {
    Crew crew(schedule);
    for (std::size_t worker = 1; worker < loop.workers(); ++worker) crew.add(work);
    lead(loop, monitor, schedule, work);
  }
  const bool completed = schedule.result();
  if (completed && schedule.done() < loop.samples)
    monitor.report({.stage = loop.stage, .done = loop.samples, .total = loop.samples, .detail = loop.detail});
  return completed;
}

}  // namespace halftone::internal
