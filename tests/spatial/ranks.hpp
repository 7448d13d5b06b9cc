#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "halftone/core/error.hpp"
#include "halftone/distributed/communicator.hpp"

inline bool is_lost_rank(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const halftone::Error& known) {
    return known.code() == halftone::Errc::LostRank;
  } catch (...) {
    return false;
  }
}

/// Calls `work` on `size` ranks that are threads of this process, each with one thread of LibTorch's own; throws the
/// error of the first rank that has one, first of those that are not about other ranks. Catch may not be called in
/// there.
inline void on_ranks(int size, const std::function<void(halftone::Communicator&)>& work) {
  auto communicators = halftone::make_thread_communicators(size);
  std::vector<std::exception_ptr> errors(communicators.size());
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < communicators.size(); ++rank)
    threads.emplace_back([&, rank] {
      at::set_num_threads(1);
      try {
        work(*communicators[rank]);
      } catch (...) {
        errors[rank] = std::current_exception();
        communicators[rank].reset();  // so that nobody waits for it
      }
    });
  for (auto& thread : threads) thread.join();
  for (const bool lost : {false, true})
    for (const auto& error : errors)
      if (error && is_lost_rank(error) == lost) std::rethrow_exception(error);
}
