#pragma once

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "halftone/distributed/communicator.hpp"

namespace halftone {

/// For what is checked on a rank: the framework's own checks are for one thread.
inline void expect(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

/// Runs `work` on that many ranks at once, which are threads, and gives what each threw; empty where it threw nothing.
inline std::vector<std::string> failures_on_ranks(int ranks, const std::function<void(Communicator&)>& work) {
  auto communicators = make_thread_communicators(ranks);
  std::vector<std::string> failures(communicators.size());
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < communicators.size(); ++rank)
    threads.emplace_back([&, rank] {
      const auto own = std::move(communicators[rank]);  // goes with the thread, as a process's would
      try {
        work(*own);
      } catch (const std::exception& error) {
        failures[rank] = error.what();
      }
    });
  for (auto& thread : threads) thread.join();
  return failures;
}

}  // namespace halftone
