#pragma once

#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "halftone/core/error.hpp"
#include "halftone/distributed/communicator.hpp"

/// What `work(communicator)` returns on each of `size` ranks, which are threads. Throws what a rank threw, the cause
/// before ranks that were lost by it.
template <class Work>
auto on_ranks(int size, const Work& work) {
  auto ranks = halftone::make_thread_communicators(size);
  std::vector<decltype(work(*ranks[0]))> results(ranks.size());
  std::vector<std::exception_ptr> errors(ranks.size());
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < ranks.size(); ++r)
    threads.emplace_back([&, r] {
      try {
        results[r] = work(*ranks[r]);
      } catch (...) {
        errors[r] = std::current_exception();
        ranks[r].reset();
      }
    });
  for (auto& thread : threads) thread.join();
  std::exception_ptr lost;
  for (const auto& error : errors) {
    if (!error) continue;
    try {
      std::rethrow_exception(error);
    } catch (const halftone::Error& seen) {
      if (seen.code() != halftone::Errc::LostRank) throw;
      lost = error;
    }
  }
  if (lost) std::rethrow_exception(lost);
  return results;
}
