#include "data/batches.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"

using namespace halftone;
using namespace halftone::internal;

TEST_CASE("every sample is in exactly one batch, whatever the number of threads") {
  for (const int threads : {1, 2, 3, 50}) {
    const BatchLoop loop{.samples = 23, .batch_size = 5, .threads = threads, .stage = "test"};
    REQUIRE(loop.batches() == 5);
    CHECK(loop.workers() == static_cast<std::size_t>(std::min(threads, 5)));
    std::vector<std::atomic<int>> seen(23);
    std::vector<std::atomic<int>> busy(loop.workers());
    const bool completed = for_each_batch(loop, {}, [&](const BatchRange& batch, std::size_t worker) {
      if (busy.at(worker)++ != 0) throw std::logic_error("two calls at once share a worker");
      if (batch.begin != batch.index * 5) throw std::logic_error("a batch begins elsewhere");
      for (auto i = batch.begin; i < batch.end; ++i) ++seen[static_cast<std::size_t>(i)];
      --busy[worker];
    });
    CHECK(completed);
    for (const auto& count : seen) CHECK(count == 1);
  }
}

TEST_CASE("one thread means the calling thread") {
  const auto caller = std::this_thread::get_id();
  bool others = false;
  for_each_batch({.samples = 10, .batch_size = 2, .stage = "test"}, {},
                 [&](const BatchRange&, std::size_t) { others |= std::this_thread::get_id() != caller; });
  CHECK_FALSE(others);
}

TEST_CASE("workers run without gradients and with one OpenMP thread, and the caller gets its setting back") {
  at::set_num_threads(2);
  for (const int threads : {1, 3}) {
    std::atomic<bool> wrong = false;
    for_each_batch({.samples = 12, .batch_size = 1, .threads = threads, .stage = "test"}, {},
                   [&](const BatchRange&, std::size_t) {
                     if (at::get_num_threads() != 1 || at::GradMode::is_enabled()) wrong = true;
                   });
    CHECK_FALSE(wrong);
    CHECK(at::get_num_threads() == 2);
    CHECK(at::GradMode::is_enabled());
  }
}

TEST_CASE("progress is reported from the calling thread and ends at the total") {
  const auto caller = std::this_thread::get_id();
  for (const int threads : {1, 3}) {
    std::vector<std::int64_t> done;
    bool elsewhere = false;
    Monitor monitor;
    monitor.on_progress = [&](const Progress& progress) {
      elsewhere |= std::this_thread::get_id() != caller || progress.stage != "test" || progress.total != 9;
      done.push_back(progress.done);
    };
    CHECK(for_each_batch({.samples = 9, .batch_size = 2, .threads = threads, .stage = "test"}, monitor,
                         [](const BatchRange&, std::size_t) {}));
    CHECK_FALSE(elsewhere);
    CHECK(std::is_sorted(done.begin(), done.end()));
    CHECK(done.back() == 9);
    if (threads == 1) CHECK(done == std::vector<std::int64_t>{0, 2, 4, 6, 8, 9});
  }
}

TEST_CASE("a stop request ends the loop early and says so") {
  for (const int threads : {1, 2}) {
    std::atomic<int> batches = 0;
    Monitor monitor;
    monitor.should_stop = [&] { return batches >= 3; };
    CHECK_FALSE(for_each_batch({.samples = 1000, .batch_size = 1, .threads = threads, .stage = "test"}, monitor,
                               [&](const BatchRange&, std::size_t) {
                                 ++batches;
                                 std::this_thread::sleep_for(std::chrono::milliseconds(1));
                               }));
    CHECK(batches < 1000);
  }
}

TEST_CASE("a stop asked for before the loop does no work") {
  Monitor monitor;
  monitor.should_stop = [] { return true; };
  for (const int threads : {1, 4}) {
    std::atomic<int> batches = 0;
    CHECK_FALSE(for_each_batch({.samples = 9, .batch_size = 1, .threads = threads, .stage = "test"}, monitor,
                               [&](const BatchRange&, std::size_t) { ++batches; }));
    CHECK(batches == 0);
  }
}

TEST_CASE("of several failures the one of the first batch reaches the caller") {
  for (const int threads : {1, 2, 4})
    for (int repeat = 0; repeat < 20; ++repeat) {
      const std::string text = error_message([&] {
        for_each_batch({.samples = 40, .batch_size = 1, .threads = threads, .stage = "test"}, {},
                       [](const BatchRange& batch, std::size_t) {
                         if (batch.index == 7) std::this_thread::sleep_for(std::chrono::milliseconds(1));
                         if (batch.index >= 7) throw std::runtime_error("batch " + std::to_string(batch.index));
                       });
      });
      CHECK(text == "batch 7");
    }
}

TEST_CASE("an exception of the monitor reaches the caller after all threads ended") {
  Monitor monitor;
  monitor.on_progress = [](const Progress& progress) {
    if (progress.done > 0) throw std::runtime_error("no more");
  };
  CHECK(error_message([&] {
          for_each_batch({.samples = 100, .batch_size = 1, .threads = 3, .stage = "test"}, monitor,
                         [](const BatchRange&, std::size_t) {});
        }) == "no more");
}

TEST_CASE("no samples are done at once") {
  CHECK(for_each_batch({.samples = 0, .batch_size = 4, .threads = 2, .stage = "test"}, {},
                       [](const BatchRange&, std::size_t) { throw std::logic_error("no batch exists"); }));
}

TEST_CASE("batches settle one by one in order, and the first that is enough ends the loop for any number of threads") {
  for (const int threads : {1, 2, 3}) {
    std::atomic<bool> first = true;
    std::vector<std::int64_t> settled;
    std::vector<std::int64_t> reported;
    Monitor monitor;
    monitor.on_progress = [&](const Progress& progress) { reported.push_back(progress.done); };
    const bool completed = for_each_batch(
        {.samples = 23, .batch_size = 2, .threads = threads, .stage = "test"}, monitor,
        [&](const BatchRange& batch, std::size_t) {
          if (first.exchange(false)) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // others run ahead
          if (batch.index > 4) throw std::runtime_error("beyond what is needed");
        },
        [&](const BatchRange& batch) {
          settled.push_back(batch.index);
          return batch.index == 4;
        });
    CHECK(completed);
    CHECK(settled == std::vector<std::int64_t>{0, 1, 2, 3, 4});
    CHECK(reported.back() == 23);
  }
}

TEST_CASE("a batch that fails before enough is done reaches the caller") {
  for (const int threads : {1, 3})
    CHECK_THROWS_WITH(for_each_batch(
                          {.samples = 20, .batch_size = 2, .threads = threads, .stage = "test"}, {},
                          [&](const BatchRange& batch, std::size_t) {
                            if (batch.index >= 3) throw std::runtime_error(std::to_string(batch.index));
                          },
                          [](const BatchRange& batch) { return batch.index == 4; }),
                      "3");
}

TEST_CASE("all batches settle where nothing is enough, and what settling throws reaches the caller") {
  std::int64_t samples = 0;
  const BatchLoop loop{.samples = 23, .batch_size = 5, .threads = 2, .stage = "test"};
  const auto nothing = [](const BatchRange&, std::size_t) {};
  CHECK(for_each_batch(loop, {}, nothing, [&](const BatchRange& batch) {
    samples += batch.end - batch.begin;
    return false;
  }));
  CHECK(samples == 23);
  CHECK_THROWS_WITH(
      for_each_batch(loop, {}, nothing, [](const BatchRange&) -> bool { throw std::runtime_error("unsettled"); }),
      "unsettled");
}
