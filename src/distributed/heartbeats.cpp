#include "distributed/heartbeats.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <sstream>
#include <utility>
#include <vector>

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

using std::chrono::milliseconds;

constexpr const char* kVerdict = "halftone/verdict";
constexpr const char* kNone = "-";
constexpr const char* kLeft = "left";
constexpr milliseconds kTick{100};
constexpr int kBeatsToLeave = 3;

std::string beat_key(int rank) { return message("halftone/beat/", rank); }

std::string name_of(int rank, const GlooOptions& options) { return message("rank ", rank, " of ", options.size); }

milliseconds interval(const GlooOptions& options) {
  return std::min(milliseconds(std::chrono::seconds(1)), options.lost_after / 4);
}

std::string seconds(milliseconds time) { return message(static_cast<double>(time.count()) / 1000, " s"); }

}  // namespace

/// What one rank knows of the others.
struct Heartbeats::State {
  explicit State(GlooOptions given) : options(std::move(given)), peers(static_cast<std::size_t>(options.size)) {}

  struct Peer {
    std::string beat;
    std::int64_t collectives = 0;
    bool left = false;
    milliseconds quiet{0};
  };

  const GlooOptions options;
  std::atomic<std::int64_t> collectives{0};

  std::mutex mutex;  ///< of all below
  std::condition_variable changed;
  std::vector<Peer> peers;
  milliseconds store_quiet{0};
  int broken = -1;       ///< rank whose connection closed
  std::string proposal;  ///< what this rank found
  std::string verdict;   ///< what holds for all
  bool leaving = false;
  bool talker_ended = false;
  bool watcher_stops = false;
  std::vector<Interruptible*> waits;

  void interrupt_all() {
    for (Interruptible* wait : waits) wait->interrupt();
  }
  void judge(const std::string& text) {
    if (verdict.empty()) verdict = text;
    interrupt_all();
    changed.notify_all();
  }
  void propose(const std::string& text) {
    if (proposal.empty()) proposal = text;
    changed.notify_all();
  }
  [[nodiscard]] bool everyone_left() const {
    return std::all_of(peers.begin(), peers.end(), [](const Peer& peer) { return peer.left; });
  }
  void read(const std::vector<std::vector<std::uint8_t>>& beats);
  void lose_store(const char* how);
  [[nodiscard]] std::string slow_text(milliseconds waited) const;
};

/// Every rank's beat, by rank, then the verdict.
void Heartbeats::State::read(const std::vector<std::vector<std::uint8_t>>& beats) {
  store_quiet = milliseconds(0);
  for (int rank = 0; rank < options.size; ++rank) {
    Peer& peer = peers[static_cast<std::size_t>(rank)];
    const auto& bytes = beats[static_cast<std::size_t>(rank)];
    std::string beat(bytes.begin(), bytes.end());
    if (beat != peer.beat) {
      std::string number;
      std::istringstream(beat) >> number >> peer.collectives;
      peer.left = number == kLeft;
      peer.beat = std::move(beat);
      peer.quiet = milliseconds(0);
    } else if (rank != options.rank && !peer.left && peer.quiet > options.lost_after) {
      propose(message(name_of(rank, options), " does not answer: no sign of life for ", seconds(options.lost_after)));
    }
  }
  if (broken >= 0)
    propose(message(name_of(broken, options), peers[static_cast<std::size_t>(broken)].left
                                                  ? " left while others wait for it"
                                                  : " was lost: its connections closed"));
  const std::string found(beats.back().begin(), beats.back().end());
  if (found != kNone) judge(found);
}

void Heartbeats::State::lose_store(const char* how) {
  if (options.rank != 0)
    judge(peers[0].left ? name_of(0, options) + " left before this rank did"
                        : message(name_of(0, options), ' ', how, ", which all ranks need"));
  else
    judge("the store of rank 0, this one, failed");
}

std::string Heartbeats::State::slow_text(milliseconds waited) const {
  const std::int64_t own = collectives;
  std::string behind;
  for (int rank = 0; rank < options.size; ++rank) {
    const Peer& peer = peers[static_cast<std::size_t>(rank)];
    if (rank != options.rank && peer.collectives < own)
      behind += message(behind.empty() ? "" : ", ", "rank ", rank, " began ", peer.collectives);
  }
  return message(name_of(options.rank, options), " waited ", seconds(waited), ", the timeout, in collective ", own,
                 behind.empty() ? ", which all ranks began" : ": " + behind);
}

void Heartbeats::prepare(c10d::Store& store) { store.set(kVerdict, kNone); }

void Heartbeats::announce(c10d::Store& store, const GlooOptions& options) {
  if (store.add(message("halftone/here/", options.rank), 1) != 1)
    throw Error(Errc::InvalidArgument, message("two processes are ", name_of(options.rank, options)));
  store.set(beat_key(options.rank), "0 0");
}

void Heartbeats::await_all(c10d::Store& store, const GlooOptions& options) {
  std::vector<std::string> keys;
  for (int rank = 0; rank < options.size; ++rank) keys.push_back(beat_key(rank));
  try {
    store.wait(keys, options.start_timeout);
  } catch (const std::exception&) {
    std::string missing;  // throws itself where the store is what was lost
    for (int rank = 0; rank < options.size; ++rank)
      if (!store.check({keys[static_cast<std::size_t>(rank)]})) missing += message(missing.empty() ? "" : ", ", rank);
    if (missing.empty()) return;  // the last one came at the last moment
    throw Error(Errc::LostRank, message("of ", options.size, " ranks these did not come within ",
                                        seconds(options.start_timeout), ": ", missing));
  }
}

void Heartbeats::talk(const std::shared_ptr<State>& state, c10d::Store& store) {
  const GlooOptions& options = state->options;
  std::vector<std::string> keys;
  for (int rank = 0; rank < options.size; ++rank) keys.push_back(beat_key(rank));
  keys.emplace_back(kVerdict);
  milliseconds left_for{0};
  std::unique_lock lock(state->mutex);
  try {
    for (std::int64_t number = 1;; ++number) {
      const bool leaving = state->leaving;
      const std::string proposal = state->verdict.empty() ? state->proposal : "";
      lock.unlock();
      store.set(keys[static_cast<std::size_t>(options.rank)],
                message(leaving ? kLeft : std::to_string(number), ' ', state->collectives));
      if (!proposal.empty()) store.compareSet(kVerdict, kNone, proposal);
      const auto beats = store.multiGet(keys);
      lock.lock();
      state->read(beats);
      const bool others_know = state->everyone_left() || left_for > kBeatsToLeave * interval(options);
      if (leaving && (options.rank != 0 || others_know)) break;
      const milliseconds pause = leaving ? kTick / 5 : interval(options);
      if (leaving) left_for += pause;
      state->changed.wait_for(lock, pause, [&] {
        return state->leaving != leaving ||
               (state->verdict.empty() && (state->broken >= 0 || !state->proposal.empty()));
      });
    }
  } catch (const std::exception&) {
    if (!lock.owns_lock()) lock.lock();
    state->lose_store("was lost: its store closed");
  }
  state->talker_ended = true;
  state->changed.notify_all();
}

void Heartbeats::watch(const std::shared_ptr<State>& state) {
  const GlooOptions& options = state->options;
  std::unique_lock lock(state->mutex);
  while (!state->changed.wait_for(lock, kTick, [&] { return state->watcher_stops; })) {
    state->store_quiet += kTick;
    for (auto& peer : state->peers) peer.quiet += kTick;
    for (Interruptible* wait : state->waits) {
      wait->waited_ += kTick;
      if (wait->waited_ > options.timeout) state->propose(state->slow_text(wait->waited_));
    }
    if (options.rank != 0 && !state->talker_ended && state->store_quiet > options.lost_after)
      state->lose_store("does not answer: no word from its store");
  }
}

Heartbeats::Heartbeats(c10::intrusive_ptr<c10d::Store> store, const GlooOptions& options)
    : state_(std::make_shared<State>(options)) {
  talker_ = std::thread([state = state_, store = std::move(store)] { talk(state, *store); });
  watcher_ = std::thread([state = state_] { watch(state); });
}

Heartbeats::~Heartbeats() {
  leave();
  std::unique_lock lock(state_->mutex);
  state_->watcher_stops = true;
  state_->changed.notify_all();
  const bool ended = state_->talker_ended;
  lock.unlock();
  watcher_.join();
  // A store that does not answer, on a host that stopped, holds a call for ever, and c10d cannot cut it short: the
  // thread is left with what it needs.
  if (ended)
    talker_.join();
  else
    talker_.detach();
}

void Heartbeats::count_collective() { ++state_->collectives; }

void Heartbeats::enter(Interruptible& wait) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->verdict.empty()) throw Error(Errc::LostRank, state_->verdict);
  if (state_->leaving) throw Error(Errc::LostRank, name_of(state_->options.rank, state_->options) + ", this one, left");
  state_->waits.push_back(&wait);
}

void Heartbeats::exit(Interruptible& wait) {
  const std::lock_guard lock(state_->mutex);
  std::erase(state_->waits, &wait);
}

void Heartbeats::throw_verdict() {
  const std::lock_guard lock(state_->mutex);
  throw Error(Errc::LostRank, state_->verdict.empty()
                                  ? name_of(state_->options.rank, state_->options) + ", this one, left"
                                  : state_->verdict);
}

void Heartbeats::report_broken(int peer) {
  std::unique_lock lock(state_->mutex);
  if (state_->broken < 0) state_->broken = peer;
  state_->changed.notify_all();
  state_->changed.wait(lock, [&] { return !state_->verdict.empty() || state_->talker_ended; });
  if (state_->verdict.empty())  // this rank leaves
    throw Error(Errc::LostRank, name_of(peer, state_->options) + ": its connections closed");
  throw Error(Errc::LostRank, state_->verdict);
}

void Heartbeats::leave() {
  std::unique_lock lock(state_->mutex);
  if (!state_->leaving) {
    state_->leaving = true;
    state_->interrupt_all();
    state_->changed.notify_all();
  }
  const int beats = state_->options.rank == 0 ? kBeatsToLeave + 2 : 2;
  state_->changed.wait_for(lock, beats * interval(state_->options), [&] { return state_->talker_ended; });
}

}  // namespace halftone::internal
