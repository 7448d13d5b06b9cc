// Laws of communicators for one rank and ranks that are threads, and what misuse says. Processes: gloo_test.cpp.
#include "halftone/distributed/communicator.hpp"

#include <ATen/ATen.h>

#include <mutex>
#include <thread>

#include "distributed/laws.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// Runs `action(ranks)` in a thread for each rank; what they threw, by rank.
template <class Action>
std::vector<std::string> in_threads(int size, const Action& action) {
  auto ranks = make_thread_communicators(size);
  std::vector<std::string> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < errors.size(); ++rank)
    threads.emplace_back([&, rank] {
      try {
        action(*ranks[rank]);
      } catch (const Error& error) {
        errors[rank] = message(error.code() == Errc::LostRank ? "lost: " : "error: ", error.what());
      }
      ranks[rank].reset();
    });
  for (auto& thread : threads) thread.join();
  return errors;
}

}  // namespace

TEST_CASE("one rank keeps the laws of communicators") {
  const auto single = make_single_communicator();
  CHECK(broken_laws(*single) == std::vector<std::string>{});
  CHECK(single->engine() == "none");
  CHECK(single->traffic().bytes == 0);
}

TEST_CASE("ranks that are threads keep the laws of communicators") {
  const int size = GENERATE(1, 2, 3, 4, 5);
  CAPTURE(size);
  std::mutex mutex;
  std::vector<std::string> broken;
  const auto errors = in_threads(size, [&](Communicator& ranks) {
    const auto found = broken_laws(ranks);
    const std::lock_guard lock(mutex);
    broken.insert(broken.end(), found.begin(), found.end());
  });
  CHECK(broken == std::vector<std::string>{});
  CHECK(errors == std::vector<std::string>(static_cast<std::size_t>(size)));
}

TEST_CASE("ranks that wait for one that left are told which") {
  const auto errors = in_threads(3, [](Communicator& ranks) {
    ranks.barrier();
    if (ranks.rank() == 1) return;
    ranks.all_reduce(at::ones({10}));
  });
  CHECK(errors[1].empty());
  CHECK_THAT(errors[0], Contains("lost: rank 1 of 3 left while others wait for it"));
  // Rank 2 may first miss rank 0, which left for want of rank 1.
  CHECK_THAT(errors[2], Contains("of 3 left while others wait for it"));
}

TEST_CASE("sums under way end where a rank leaves, and so does a communicator with some") {
  const auto errors = in_threads(2, [](Communicator& ranks) {
    if (ranks.rank() == 1) return;
    const auto first = ranks.start_all_reduce(at::ones({10}));
    const auto second = ranks.start_all_reduce(at::ones({10}));
    first->wait();
  });
  CHECK_THAT(errors[0], Contains("lost: rank 1 of 2 left"));
}

TEST_CASE("a part of the ranks whose sum is under way when an error ends a rank's work is not waited for") {
  const auto errors = in_threads(2, [](Communicator& ranks) {
    const auto part = ranks.split(0);
    const at::Tensor tensor = at::ones({10});
    const auto under_way = part->start_all_reduce(tensor);
    if (ranks.rank() == 0) {
      under_way->wait();
      ranks.barrier();
    } else {
      const auto second = part->start_all_reduce(tensor);  // that rank 0 never joins
      throw Error(Errc::Internal, "trouble");
    }
  });
  CHECK_THAT(errors[0], Contains("lost: rank 1 of 2 left"));
  CHECK_THAT(errors[1], Contains("error: trouble"));
}

TEST_CASE("threads that send and expect different lengths are told") {
  const auto errors = in_threads(2, [](Communicator& ranks) { ranks.broadcast(at::ones({ranks.rank() + 1})); });
  CHECK_THAT(errors[1], Contains("rank 0 sent 4 bytes and rank 1 expects 8"));
}

TEST_CASE("collectives refuse tensors that do not fit") {
  const auto ranks = std::move(make_thread_communicators(2)[0]);
  const auto refused = [](const auto& call) {
    const Failure seen = failure(call);
    CHECK(seen.code == Errc::InvalidArgument);
    return seen.text;
  };
  const at::Tensor four = at::ones({4});
  CHECK_THAT(refused([&] { ranks->all_reduce(at::Tensor()); }), Contains("all_reduce: tensor is undefined"));
  CHECK_THAT(refused([&] {
               ranks->all_reduce(at::ones({2, 3}).t());
             }),
             Contains("all_reduce: tensor of shape [3, 2] is not contiguous"));
  CHECK_THAT(refused([&] { (void)ranks->start_all_reduce(four.to_sparse()); }), Contains("tensor is sparse"));
  CHECK_THAT(refused([&] { ranks->all_reduce(at::ones({2}, at::kComplexFloat)); }),
             Contains("no sum over ranks of tensors of type ComplexFloat"));
  CHECK_THAT(
      refused([&] { ranks->reduce_scatter(four, four); }),
      Contains("reduce_scatter: input is Float [4] and output Float [4]: on 2 ranks the first must be of the same "
               "type and 2 times as long"));
  CHECK_THAT(refused([&] { ranks->reduce_scatter(four, at::ones({2}, at::kDouble)); }), Contains("output Double [2]"));
  CHECK_THAT(refused([&] { ranks->all_gather(at::ones({}), at::ones({2})); }), Contains("input Float []"));
  CHECK_THAT(refused([&] {
               ranks->all_gather(at::ones({2, 3}), at::ones({4, 2}));
             }),
             Contains("output is Float [4, 2]"));
  CHECK_THAT(refused([&] { ranks->broadcast(four, 2); }), Contains("broadcast: root is 2: there are ranks 0 to 1"));
  CHECK_THAT(refused([&] { (void)ranks->broadcast_bytes("x", -1); }), Contains("root is -1"));
  CHECK_THAT(refused([&] { ranks->send(four, 0); }), Contains("send: to is this rank itself, 0"));
  CHECK_THAT(refused([&] { ranks->receive(four, 1, -1); }), Contains("receive: tag is -1: 0 to 1048575 are allowed"));
  CHECK_THAT(refused([&] { (void)ranks->split(-1); }), Contains("split: color is -1"));
  CHECK_THAT(refused([&] { make_thread_communicators(0); }), Contains("a job of 0 ranks: at least 1 is needed"));
}
