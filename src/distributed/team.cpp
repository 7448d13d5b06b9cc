#include "halftone/distributed/team.hpp"

#include <exception>
#include <optional>
#include <utility>

#include "core/byte_reader.hpp"
#include "halftone/core/error.hpp"
#include "halftone/distributed/agreement.hpp"

namespace halftone {

namespace {

constexpr const char* kRunAlike = "run the same command with the same options and data on every rank";

/// What a rank tells the others beside its bytes.
struct Notice {
  std::string what;
  bool wishes_to_stop = false;
  double seconds = 0;
  std::optional<Errc> failure{};
  std::string failure_text{};
};

using internal::ByteReader;
using internal::put;
using internal::put_text;

std::string pack(const Notice& notice, const std::string& bytes) {
  std::string packed;
  put_text(packed, notice.what);
  put(packed, notice.wishes_to_stop);
  put(packed, notice.seconds);
  put(packed, notice.failure ? static_cast<int>(*notice.failure) : -1);
  put_text(packed, notice.failure_text);
  return packed + bytes;
}

std::pair<Notice, std::string> unpack(const std::string& packed) {
  ByteReader reader(packed);
  Notice notice{.what = reader.text()};
  notice.wishes_to_stop = reader.number<bool>();
  notice.seconds = reader.number<double>();
  if (const int code = reader.number<int>(); code >= 0) notice.failure = static_cast<Errc>(code);
  notice.failure_text = reader.text();
  return {std::move(notice), std::string(reader.rest())};
}

void set_failure(Notice& notice, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    notice.failure = error.code();
    notice.failure_text = error.what();
  } catch (const std::exception& error) {
    notice.failure = Errc::Internal;
    notice.failure_text = error.what();
  } catch (...) {
    notice.failure = Errc::Internal;
    notice.failure_text = "an unknown error";
  }
}

/// Ranks of which `differs` holds, as "rank 2" or "ranks 1, 3"; empty where there are none.
template <class Differs>
std::string ranks_where(std::size_t size, const Differs& differs) {
  std::string list;
  int count = 0;
  for (std::size_t rank = 0; rank < size; ++rank)
    if (differs(rank)) list += message(count++ == 0 ? "" : ", ", rank);
  return count == 0 ? "" : message(count == 1 ? "rank " : "ranks ", list);
}

/// Throws where a rank failed, or does something else than rank 0.
void require_agreement(const std::vector<Notice>& notices) {
  for (std::size_t rank = 0; rank < notices.size(); ++rank)
    if (notices[rank].failure)
      throw Error(*notices[rank].failure, message("rank ", rank, ": ", notices[rank].failure_text));
  const std::string& what = notices.front().what;
  const std::string others = ranks_where(notices.size(), [&](std::size_t rank) { return notices[rank].what != what; });
  if (others.empty()) return;
  std::size_t first = 0;
  while (notices[first].what == what) ++first;
  throw Error(Errc::InvalidArgument, message("ranks do not do the same: rank 0 is at \"", what, "\", not so ", others,
                                             " (rank ", first, " is at \"", notices[first].what, "\"): ", kRunAlike));
}

}  // namespace

Team::Team(Communicator& communicator, std::function<bool()> wishes_to_stop)
    : communicator_(communicator), wishes_to_stop_(std::move(wishes_to_stop)) {}

std::vector<std::string> Team::exchange(const std::string& what, const std::string& bytes,
                                        const std::exception_ptr& failure) {
  Notice own{.what = what,
             .wishes_to_stop = wishes_to_stop(),
             .seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count()};
  if (failure) set_failure(own, failure);
  std::vector<std::string> results;
  std::vector<Notice> notices;
  is_over_ = true;  // where anything below throws
  for (const std::string& packed : communicator_.gather_bytes(pack(own, bytes))) {
    auto [notice, rest] = unpack(packed);
    notices.push_back(std::move(notice));
    results.push_back(std::move(rest));
  }
  seconds_ = notices.front().seconds;
  for (const Notice& notice : notices) stopped_ = stopped_ || notice.wishes_to_stop;
  if (failure) std::rethrow_exception(failure);
  require_agreement(notices);
  is_over_ = false;
  return results;
}

void Team::tell(const std::exception_ptr& failure) noexcept {
  if (is_over_) return;
  try {
    (void)exchange("", "", failure);
  } catch (...) {  // it is on its way to the caller
  }
}

std::string Team::share_first(const std::string& what, const std::function<std::string()>& make) {
  std::string made;
  std::exception_ptr failure;
  if (is_first()) {
    try {
      made = make();
    } catch (const Stopped&) {
      wish_to_stop();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  return std::move(exchange(what, made, failure).front());
}

std::string Team::from_first(const std::string& what, const std::function<std::string()>& make) {
  std::string made = share_first(what, make);
  if (stopped_) throw Stopped();
  return made;
}

void Team::require_same(const std::string& what, const std::string& text) {
  halftone::require_same(what, exchange("comparing " + what, text));
}

bool Team::wishes_to_stop() {
  if (wishes_to_stop_ && wishes_to_stop_()) wish_to_stop();
  return wish_ || stopped_;
}

Monitor Team::monitor(const Monitor& own) const {
  Monitor result;
  if (is_first()) {
    result.on_progress = own.on_progress;
    result.on_message = own.on_message;
  }
  result.should_stop = [this] { return stopped(); };
  return result;
}

}  // namespace halftone
