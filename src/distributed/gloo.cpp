#include "halftone/distributed/gloo.hpp"

#include <ATen/ops/from_blob.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <csignal>
#include <mutex>
#include <utility>

#include "distributed/heartbeats.hpp"
#include "distributed/local_address.hpp"
#include "distributed/message_communicator.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"

namespace halftone {
namespace {

using internal::Heartbeats;

/// A message under way.
class Passage final : public PendingWork, internal::Interruptible {
 public:
  Passage(Heartbeats& ranks, c10::intrusive_ptr<c10d::Work> work, int peer, std::chrono::milliseconds timeout)
      : ranks_(ranks), work_(std::move(work)), peer_(peer), timeout_(timeout) {}

  void wait() override {
    ranks_.enter(*this);
    bool arrived = false;
    bool broken = false;
    try {
      arrived = work_->wait(timeout_);
    } catch (const std::exception&) {
      broken = true;
    }
    ranks_.exit(*this);
    if (broken) ranks_.report_broken(peer_);
    if (!arrived) ranks_.throw_verdict();
  }
  void interrupt() override { work_->abort(); }

 private:
  Heartbeats& ranks_;  ///< of the transport, which outlives this
  c10::intrusive_ptr<c10d::Work> work_;
  int peer_;
  std::chrono::milliseconds timeout_;
};

c10::intrusive_ptr<c10d::TCPStore> open_store(const GlooOptions& options) {
  c10d::TCPStoreOptions how;
  how.port = static_cast<std::uint16_t>(options.port);
  how.isServer = options.rank == 0;
  how.waitWorkers = false;
  how.timeout = options.start_timeout;
  if (how.isServer && options.listener >= 0) how.masterListenFd = options.listener;
  const std::string place = message(options.address, ':', options.port);
  try {
    return c10::make_intrusive<c10d::TCPStore>(options.address, how);
  } catch (const std::exception& error) {
    const std::string text = error.what();
    const std::string reason = text.substr(0, text.find('\n'));
    if (options.rank == 0)
      throw Error(Errc::Io,
                  message("rank 0 cannot listen at ", place, ": ", reason, ": ",
                          how.masterListenFd ? message("is ", *how.masterListenFd, " the socket it was given?")
                                             : "choose a free port"));
    throw Error(Errc::LostRank, message("rank 0 of ", options.size, " does not answer at ", place, ": ", reason));
  }
}

/// What c10d throws while ranks gather: where nothing else is known, rank 0's store is gone.
template <class Action>
void gather(const GlooOptions& options, const Action& action) {
  try {
    action();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    const std::string text = error.what();
    throw Error(Errc::LostRank, message("rank ", options.rank, " of ", options.size,
                                        " found no way to the others, perhaps as rank 0 left before all were there: ",
                                        text.substr(0, text.find('\n'))));
  }
}

/// Whether all ranks believe in as many.
void compare_sizes(c10d::Store& store, const GlooOptions& options) {
  constexpr const char* kSize = "halftone/size";
  if (options.rank == 0) store.set(kSize, std::to_string(options.size));
  const std::string size = store.get_to_str(kSize);
  if (size != std::to_string(options.size))
    throw Error(Errc::InvalidArgument,
                message("rank 0 has a job of ", size, " ranks, and rank ", options.rank, " one of ", options.size));
}

/// gloo writes to connections that the other side may have closed, which ends a process that leaves this signal alone.
void ignore_broken_pipes() {
  struct sigaction now {};
  if (::sigaction(SIGPIPE, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL) return;
  now.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &now, nullptr);
}

class GlooTransport final : public internal::Transport {
 public:
  explicit GlooTransport(const GlooOptions& options) : options_(options), store_(open_store(options)) {
    gather(options, [this] {
      if (options_.rank == 0) Heartbeats::prepare(*store_);
      compare_sizes(*store_, options_);
      Heartbeats::announce(*store_, options_);
      Heartbeats::await_all(*store_, options_);
      ranks_ = std::make_unique<Heartbeats>(store_->clone(), options_);
      connect();
    });
  }

  [[nodiscard]] int rank() const override { return options_.rank; }
  [[nodiscard]] int size() const override { return options_.size; }
  [[nodiscard]] std::string engine() const override { return "gloo"; }

  std::unique_ptr<PendingWork> send(const void* data, std::size_t bytes, int to, std::uint32_t slot) override {
    // Only read.
    std::vector tensors{as_tensor(const_cast<void*>(data), bytes)};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
    return begin(to, [&] { return gloo_->send(tensors, to, static_cast<int>(slot)); });
  }

  std::unique_ptr<PendingWork> receive(void* data, std::size_t bytes, int from, std::uint32_t slot) override {
    std::vector tensors{as_tensor(data, bytes)};
    return begin(from, [&] { return gloo_->recv(tensors, from, static_cast<int>(slot)); });
  }

  void count_collective() override { ranks_->count_collective(); }
  void leave() override { ranks_->leave(); }

 private:
  void connect() {
    const auto how = c10d::ProcessGroupGloo::Options::create(options_.start_timeout);
    how->threads = 1;  // for collectives of its own, which nobody asks for
    how->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(own_address()));
    gloo_ = c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", store_),
                                                        options_.rank, options_.size, how);
  }

  /// Of this host's, that the other ranks reach: the one that rank 0's is reached from. A host may know itself by an
  /// address that no other reaches, as 127.0.1.1 on Debian; then the one that such another is reached from.
  std::string own_address() {
    const auto is_loopback = [](const std::string& text) { return text.starts_with("127.") || text == "::1"; };
    std::vector<std::string> keys;
    for (int rank = 0; rank < options_.size; ++rank) keys.push_back(message("halftone/address/", rank));
    std::string own = internal::local_address_towards(options_.address, options_.port);
    store_->set(keys[static_cast<std::size_t>(options_.rank)], own);
    if (!is_loopback(own)) return own;
    for (const auto& bytes : store_->multiGet(keys))
      if (const std::string other(bytes.begin(), bytes.end()); !is_loopback(other))
        return internal::local_address_towards(other, options_.port);
    return own;
  }

  static at::Tensor as_tensor(void* data, std::size_t bytes) {
    return at::from_blob(data, {static_cast<std::int64_t>(bytes)}, at::kByte);
  }

  template <class Start>
  std::unique_ptr<PendingWork> begin(int peer, const Start& start) {
    c10::intrusive_ptr<c10d::Work> work;
    try {
      const std::lock_guard lock(mutex_);  // c10d counts messages
      work = start();
    } catch (const std::exception&) {
      ranks_->report_broken(peer);
    }
    // Waits are cut short by this rank's own clock first.
    return std::make_unique<Passage>(*ranks_, std::move(work), peer, 2 * options_.timeout + std::chrono::minutes(1));
  }

  GlooOptions options_;
  c10::intrusive_ptr<c10d::Store> store_;
  std::unique_ptr<Heartbeats> ranks_;
  std::mutex mutex_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
};

}  // namespace

std::vector<std::string> validate(const GlooOptions& options) {
  using std::chrono::milliseconds;
  std::vector<std::string> violations;
  const auto at_least = [&](const char* name, milliseconds value, milliseconds least) {
    if (value < least)
      violations.push_back(message(name, " is ", value.count(), " ms: at least ", least.count(), " ms is needed"));
  };
  if (options.size < 1) violations.push_back(message("size is ", options.size, ": at least 1 rank is needed"));
  if (options.rank < 0 || (options.size >= 1 && options.rank >= options.size))
    violations.push_back(
        message("rank is ", options.rank, ": 0 to ", options.size - 1, " are the ranks of a job of ", options.size));
  if (options.address.empty()) violations.emplace_back("address is empty: the address of rank 0 is needed");
  if (options.port < 1 || options.port > 65535)
    violations.push_back(message("port is ", options.port, ": 1 to 65535 are ports"));
  at_least("start_timeout", options.start_timeout, milliseconds(1));
  at_least("timeout", options.timeout, milliseconds(1));
  at_least("lost_after", options.lost_after, milliseconds(1000));
  return violations;
}

std::unique_ptr<Communicator> make_gloo_communicator(const GlooOptions& options) {
  require_valid("options of ranks", validate(options));
  if (options.size == 1) return make_single_communicator();
  ignore_broken_pipes();
  return std::make_unique<internal::MessageCommunicator>(std::make_shared<GlooTransport>(options));
}

}  // namespace halftone
