#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "distributed/message_communicator.hpp"
#include "distributed/transport.hpp"
#include "halftone/core/error.hpp"
#include "halftone/distributed/communicator.hpp"

namespace halftone {
namespace {

/// What the threads share: messages that were sent and not received yet.
struct Mailboxes {
  explicit Mailboxes(int size) : left(static_cast<std::size_t>(size)) {}

  std::mutex mutex;
  std::condition_variable changed;
  /// By sender, receiver and slot.
  std::map<std::tuple<int, int, std::uint32_t>, std::deque<std::string>> letters;
  std::vector<bool> left;  ///< by rank
};

struct Sent final : PendingWork {
  void wait() override {}
};

class Arrival final : public PendingWork {
 public:
  Arrival(std::shared_ptr<Mailboxes> boxes, void* data, std::size_t bytes, int from, int to, std::uint32_t slot)
      : boxes_(std::move(boxes)), data_(data), bytes_(bytes), from_(from), to_(to), slot_(slot) {}

  void wait() override {
    std::unique_lock lock(boxes_->mutex);
    auto& box = boxes_->letters[{from_, to_, slot_}];
    const auto left = [this](int rank) { return boxes_->left[static_cast<std::size_t>(rank)]; };
    boxes_->changed.wait(lock, [&] { return !box.empty() || left(from_) || left(to_); });
    if (box.empty())
      throw Error(Errc::LostRank, message("rank ", left(to_) ? to_ : from_, " of ", boxes_->left.size(),
                                          " left while others wait for it"));
    const std::string letter = std::move(box.front());
    box.pop_front();
    if (box.empty()) boxes_->letters.erase({from_, to_, slot_});
    if (letter.size() != bytes_)
      throw Error(Errc::InvalidArgument, message("rank ", from_, " sent ", letter.size(), " bytes and rank ", to_,
                                                 " expects ", bytes_, ": all ranks must make the same calls"));
    std::memcpy(data_, letter.data(), bytes_);
  }

 private:
  std::shared_ptr<Mailboxes> boxes_;
  void* data_;
  std::size_t bytes_;
  int from_;
  int to_;
  std::uint32_t slot_;
};

class ThreadTransport final : public internal::Transport {
 public:
  ThreadTransport(std::shared_ptr<Mailboxes> boxes, int rank) : boxes_(std::move(boxes)), rank_(rank) {}

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return static_cast<int>(boxes_->left.size()); }
  [[nodiscard]] std::string engine() const override { return "threads"; }

  std::unique_ptr<PendingWork> send(const void* data, std::size_t bytes, int to, std::uint32_t slot) override {
    {
      const std::lock_guard lock(boxes_->mutex);
      boxes_->letters[{rank_, to, slot}].emplace_back(static_cast<const char*>(data), bytes);
    }
    boxes_->changed.notify_all();
    return std::make_unique<Sent>();
  }

  std::unique_ptr<PendingWork> receive(void* data, std::size_t bytes, int from, std::uint32_t slot) override {
    return std::make_unique<Arrival>(boxes_, data, bytes, from, rank_, slot);
  }

  void leave() override {
    {
      const std::lock_guard lock(boxes_->mutex);
      boxes_->left[static_cast<std::size_t>(rank_)] = true;
    }
    boxes_->changed.notify_all();
  }

 private:
  std::shared_ptr<Mailboxes> boxes_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_thread_communicators(int size) {
  if (size < 1) throw Error(Errc::InvalidArgument, message("a job of ", size, " ranks: at least 1 is needed"));
  const auto boxes = std::make_shared<Mailboxes>(size);
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (int rank = 0; rank < size; ++rank)
    ranks.push_back(std::make_unique<internal::MessageCommunicator>(std::make_shared<ThreadTransport>(boxes, rank)));
  return ranks;
}

}  // namespace halftone
