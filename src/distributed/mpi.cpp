#include "halftone/distributed/mpi.hpp"

#include <algorithm>
#include <limits>
#include <mpi.h>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "distributed/message_communicator.hpp"
#include "halftone/core/error.hpp"

namespace halftone {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kLongest = std::numeric_limits<int>::max() / 2;  ///< bytes of one message of MPI

/// MPI's own communicator, with a lock as its calls come from several threads, and one at a time.
struct World {
  MPI_Comm all = MPI_COMM_NULL;
  int rank = 0;
  int size = 0;
  bool finalize = false;  ///< nobody else has initialized MPI
  bool left = false;
  bool broken = false;  ///< a rank is lost: nothing may wait for all of them any more
  std::mutex mutex;
};

void require_success(int code, const std::string& what) {
  if (code == MPI_SUCCESS) return;
  std::string text(MPI_MAX_ERROR_STRING, '\0');
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Error(Errc::LostRank, message("MPI: ", what, ": ", text.substr(0, static_cast<std::size_t>(length))));
}

/// A message under way, in pieces that MPI can count. MPI makes progress only while somebody asks.
class Passage final : public PendingWork {
 public:
  Passage(std::shared_ptr<World> world, int peer, milliseconds timeout)
      : world_(std::move(world)), peer_(peer), timeout_(timeout) {}

  /// Gives up what nobody waited for.
  ~Passage() override {
    const std::lock_guard lock(world_->mutex);
    for (MPI_Request& request : requests_)
      if (request != MPI_REQUEST_NULL) {
        MPI_Cancel(&request);
        MPI_Request_free(&request);
      }
  }
  Passage(Passage&&) = delete;
  Passage& operator=(Passage&&) = delete;

  /// `begin(offset, count, request)` for each piece.
  template <class Begin>
  void start(std::size_t bytes, const Begin& begin) {
    const std::lock_guard lock(world_->mutex);
    for (std::size_t offset = 0; offset < bytes; offset += kLongest) {
      requests_.push_back(MPI_REQUEST_NULL);
      require_success(begin(offset, static_cast<int>(std::min(kLongest, bytes - offset)), &requests_.back()), who());
    }
  }

  void wait() override {
    const auto end = Clock::now() + timeout_;
    for (int tries = 0; !is_done(); ++tries) {
      if (Clock::now() > end) {
        const std::lock_guard lock(world_->mutex);
        world_->broken = true;
        throw Error(Errc::LostRank, message(who(), " did not answer within ",
                                            std::chrono::duration<double>(timeout_).count(), " s, the timeout"));
      }
      // Short messages arrive soon; while long ones do, processors have other work.
      if (tries < 100)
        std::this_thread::yield();
      else
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

 private:
  [[nodiscard]] std::string who() const { return message("rank ", peer_, " of ", world_->size); }

  bool is_done() {
    const std::lock_guard lock(world_->mutex);
    if (world_->left) throw Error(Errc::LostRank, message("rank ", world_->rank, ", this one, left"));
    int done = 0;
    require_success(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE),
                    who());
    return done != 0;
  }

  std::shared_ptr<World> world_;
  int peer_;
  milliseconds timeout_;
  std::vector<MPI_Request> requests_;
};

class MpiTransport final : public internal::Transport {
 public:
  explicit MpiTransport(const MpiOptions& options) : timeout_(options.timeout), world_(std::make_shared<World>()) {
    int initialized = 0;
    int threads = MPI_THREAD_SINGLE;
    MPI_Initialized(&initialized);
    if (initialized != 0)
      MPI_Query_thread(&threads);
    else
      require_success(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &threads), "initialization");
    if (threads < MPI_THREAD_SERIALIZED)
      throw Error(Errc::Unsupported,
                  "this MPI allows calls from one thread alone: initialize it with MPI_THREAD_SERIALIZED");
    world_->finalize = initialized == 0;
    require_success(MPI_Comm_dup(MPI_COMM_WORLD, &world_->all), "a communicator");
    MPI_Comm_set_errhandler(world_->all, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world_->all, &world_->rank);
    MPI_Comm_size(world_->all, &world_->size);
    require_slots();
  }
  ~MpiTransport() override {
    // Not where a rank is lost, or an exception on its way: MPI would wait. It ends with the process then.
    const std::lock_guard lock(world_->mutex);
    if (world_->broken || std::uncaught_exceptions() > 0) return;
    MPI_Comm_free(&world_->all);
    if (world_->finalize) MPI_Finalize();
  }
  MpiTransport(MpiTransport&&) = delete;
  MpiTransport& operator=(MpiTransport&&) = delete;

  [[nodiscard]] int rank() const override { return world_->rank; }
  [[nodiscard]] int size() const override { return world_->size; }
  [[nodiscard]] std::string engine() const override { return "mpi"; }

  std::unique_ptr<PendingWork> send(const void* data, std::size_t bytes, int to, std::uint32_t slot) override {
    auto work = std::make_unique<Passage>(world_, to, timeout_);
    work->start(bytes, [&](std::size_t offset, int count, MPI_Request* request) {
      return MPI_Isend(static_cast<const std::byte*>(data) + offset, count, MPI_BYTE, to, static_cast<int>(slot),
                       world_->all, request);
    });
    return work;
  }

  std::unique_ptr<PendingWork> receive(void* data, std::size_t bytes, int from, std::uint32_t slot) override {
    auto work = std::make_unique<Passage>(world_, from, timeout_);
    work->start(bytes, [&](std::size_t offset, int count, MPI_Request* request) {
      return MPI_Irecv(static_cast<std::byte*>(data) + offset, count, MPI_BYTE, from, static_cast<int>(slot),
                       world_->all, request);
    });
    return work;
  }

  void leave() override {
    const std::lock_guard lock(world_->mutex);
    world_->left = true;
  }

 private:
  /// That slots are tags.
  void require_slots() const {
    void* limit = nullptr;
    int known = 0;
    MPI_Comm_get_attr(world_->all, MPI_TAG_UB, &limit, &known);
    if (known == 0 || *static_cast<int*>(limit) < std::numeric_limits<std::int32_t>::max())
      throw Error(Errc::Unsupported, "this MPI has tags of fewer than 31 bits: take ranks over gloo");
  }

  milliseconds timeout_;
  std::shared_ptr<World> world_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(const MpiOptions& options) {
  if (options.timeout < milliseconds(1))
    throw Error(Errc::InvalidArgument, message("timeout is ", options.timeout.count(), " ms: at least 1 ms is needed"));
  return std::make_unique<internal::MessageCommunicator>(std::make_shared<MpiTransport>(options));
}

bool has_mpi() { return true; }

}  // namespace halftone
