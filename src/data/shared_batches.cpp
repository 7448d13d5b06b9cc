#include "data/shared_batches.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <utility>

#include "core/byte_reader.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {

namespace {

void put_tensors(std::string& bytes, const BatchResult& tensors) {
  put(bytes, std::ssize(tensors));
  for (const at::Tensor& tensor : tensors) {
    const at::Tensor flat = tensor.to(at::kCPU).contiguous();
    put(bytes, static_cast<std::int64_t>(flat.scalar_type()));
    put(bytes, flat.dim());
    for (const std::int64_t size : flat.sizes()) put(bytes, size);
    bytes.append(static_cast<const char*>(flat.const_data_ptr()), flat.nbytes());
  }
}

BatchResult take_tensors(ByteReader& reader) {
  BatchResult tensors(static_cast<std::size_t>(reader.number<std::int64_t>()));
  for (at::Tensor& tensor : tensors) {
    const auto type = static_cast<at::ScalarType>(reader.number<std::int64_t>());
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(reader.number<std::int64_t>()));
    for (std::int64_t& size : sizes) size = reader.number<std::int64_t>();
    tensor = at::empty(sizes, at::device(at::kCPU).dtype(type));
    std::memcpy(tensor.mutable_data_ptr(), reader.take(tensor.nbytes()).data(), tensor.nbytes());
  }
  return tensors;
}

/// One pass over the batches by the ranks of a team.
class SharedPass {
 public:
  SharedPass(Team& team, const std::string& what, const BatchLoop& loop, const Monitor& monitor, const MakeFn& make,
             const TakeFn& take, const SettledFn& settled)
      : team_(team), what_(what), loop_(loop), monitor_(monitor), make_(make), take_(take), settled_(settled) {}

  bool run() {
    const std::int64_t round = batches_of_round();
    for (std::int64_t first = 0; first < loop_.batches(); first += round) {
      if (!run_round(first, std::min(first + round, loop_.batches()))) return false;
      if (enough_) return true;
    }
    monitor_.report({.stage = loop_.stage, .done = loop_.samples, .total = loop_.samples, .detail = loop_.detail});
    return true;
  }

 private:
  /// Of all ranks, between two exchanges. Where a pass may end early, what is done beyond its end is lost, so rounds
  /// are short; an exchange takes as long as the slowest rank, so they are not too short.
  [[nodiscard]] std::int64_t batches_of_round() const {
    constexpr std::int64_t kRounds = 8;
    constexpr std::int64_t kRoundsToEndEarly = 24;
    const std::int64_t ranks = team_.size();
    const std::int64_t rounds = settled_ ? kRoundsToEndEarly : kRounds;
    const std::int64_t at_once = ranks * loop_.threads;
    return std::max<std::int64_t>(1, (loop_.batches() + rounds * at_once - 1) / (rounds * at_once)) * at_once;
  }

  /// False when stopped.
  bool run_round(std::int64_t first, std::int64_t end) {
    std::exception_ptr failure;
    std::string bytes;
    try {
      bytes = make_own(first, end);
    } catch (...) {
      failure = std::current_exception();
    }
    const auto all = team_.exchange(message(what_, ", batches ", first, " to ", end - 1), bytes, failure);
    take_all(all, first, end);
    if (team_.stopped()) return false;
    for (std::int64_t index = first; settled_ && !enough_ && index < end; ++index)
      enough_ = settled_(loop_.range(index));
    return true;
  }

  /// This rank's batches of [first, end), as numbers of batches with their results.
  std::string make_own(std::int64_t first, std::int64_t end) {
    std::vector<std::int64_t> own;
    for (std::int64_t index = first; index < end; ++index)
      if (index % team_.size() == team_.rank()) own.push_back(index);
    std::vector<std::optional<BatchResult>> results(own.size());
    const auto progress = [&](const Progress& done) {
      const std::int64_t batches = first + done.done * team_.size();
      monitor_.report({.stage = loop_.stage,
                       .done = std::min(batches * loop_.batch_size, loop_.samples),
                       .total = loop_.samples,
                       .detail = loop_.detail});
    };
    const auto wishes_to_stop = [&] {
      if (monitor_.stopped()) team_.wish_to_stop();
      return team_.wishes_to_stop();
    };
    const Monitor inner{.on_progress = progress, .should_stop = wishes_to_stop};
    for_each_batch({std::ssize(own), 1, loop_.threads, loop_.stage, loop_.detail}, inner,
                   [&](const BatchRange& item, std::size_t worker) {
                     const auto place = static_cast<std::size_t>(item.index);
                     results[place] = make_(loop_.range(own[place]), worker);
                   });
    std::string bytes;
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (!results[i]) {
        team_.wish_to_stop();  // or the pass would count as whole
        continue;
      }
      put(bytes, own[i]);
      put_tensors(bytes, *results[i]);
    }
    return bytes;
  }

  void take_all(const std::vector<std::string>& all, std::int64_t first, std::int64_t end) {
    for (const std::string& bytes : all)
      for (ByteReader reader(bytes); !reader.rest().empty();) {
        const std::int64_t index = reader.number<std::int64_t>();
        if (index < first || index >= end) throw Error(Errc::Internal, "a rank made a batch that is not its own");
        take_(loop_.range(index), take_tensors(reader));
      }
  }

  Team& team_;
  const std::string& what_;
  const BatchLoop& loop_;
  const Monitor& monitor_;
  const MakeFn& make_;
  const TakeFn& take_;
  const SettledFn& settled_;
  bool enough_ = false;
};

}  // namespace

bool share_batches(Team* team, const std::string& what, const BatchLoop& loop, const Monitor& monitor,
                   const MakeFn& make, const TakeFn& take, const SettledFn& settled) {
  if (team != nullptr && team->size() > 1) return SharedPass(*team, what, loop, monitor, make, take, settled).run();
  bool whole = true;
  std::mutex mutex;
  const bool completed = for_each_batch(
      loop, monitor,
      [&](const BatchRange& batch, std::size_t worker) {
        if (auto result = make(batch, worker)) return take(batch, *std::move(result));
        const std::lock_guard lock(mutex);
        whole = false;
      },
      settled);
  return completed && whole;
}

std::string pack(const BatchResult& tensors) {
  std::string bytes;
  put_tensors(bytes, tensors);
  return bytes;
}

BatchResult unpack(const std::string& bytes) {
  ByteReader reader(bytes);
  BatchResult tensors = take_tensors(reader);
  if (!reader.rest().empty()) throw Error(Errc::Internal, "results of a rank are longer than they say");
  return tensors;
}

}  // namespace halftone::internal
