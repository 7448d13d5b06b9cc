#pragma once

#include <ATen/Parallel.h>

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "halftone/core/error.hpp"
#include "halftone/distributed/communicator.hpp"

namespace halftone {

/// For what is checked on a rank: the framework's own checks are for one thread.
inline void expect(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

/// Runs `work` on that many ranks at once, which are threads, each with one thread of LibTorch's own, and gives what
/// each threw; null where it threw nothing.
inline std::vector<std::exception_ptr> errors_on_ranks(int ranks, const std::function<void(Communicator&)>& work) {
  auto communicators = make_thread_communicators(ranks);
  std::vector<std::exception_ptr> errors(communicators.size());
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < communicators.size(); ++rank)
    threads.emplace_back([&, rank] {
      at::set_num_threads(1);
      const auto own = std::move(communicators[rank]);  // goes with the thread, as a process's would
      try {
        work(*own);
      } catch (...) {
        errors[rank] = std::current_exception();
      }
    });
  for (auto& thread : threads) thread.join();
  return errors;
}

/// The texts of what each threw; empty where it threw nothing.
inline std::vector<std::string> failures_on_ranks(int ranks, const std::function<void(Communicator&)>& work) {
  std::vector<std::string> texts;
  for (const auto& error : errors_on_ranks(ranks, work)) {
    try {
      if (error) std::rethrow_exception(error);
      texts.emplace_back();
    } catch (const std::exception& seen) {
      texts.emplace_back(seen.what());
    }
  }
  return texts;
}

/// What `work` returns on each of `ranks` ranks that are threads. Throws what a rank threw, the cause before ranks that
/// were lost by it.
template <class Work>
auto on_ranks(int ranks, const Work& work) {
  using Result = std::invoke_result_t<Work, Communicator&>;
  constexpr bool kGives = !std::is_void_v<Result>;
  constexpr bool kPacked = std::is_same_v<Result, bool>;  // by std::vector, which threads must not write at once
  std::vector<std::conditional_t<kGives && !kPacked, Result, char>> results(static_cast<std::size_t>(ranks));
  const auto errors = errors_on_ranks(ranks, [&](Communicator& communicator) {
    if constexpr (kGives)
      results[static_cast<std::size_t>(communicator.rank())] = work(communicator);
    else
      work(communicator);
  });
  std::exception_ptr lost;
  for (const auto& error : errors) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const Error& seen) {
      if (seen.code() != Errc::LostRank) throw;
      lost = error;
    }
  }
  if (lost) std::rethrow_exception(lost);
  if constexpr (kGives) return results;
}

}  // namespace halftone
