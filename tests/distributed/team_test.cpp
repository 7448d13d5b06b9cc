#include "halftone/distributed/team.hpp"

#include <ATen/ATen.h>

#include <mutex>
#include <set>

#include "data/shared_batches.hpp"
#include "distributed/on_ranks.hpp"
#include "failure.hpp"

using namespace halftone;
using internal::BatchRange;
using internal::BatchResult;
using internal::share_batches;

namespace {

/// What a pass gives: by batch a number, and which batches were settled.
struct Pass {
  std::vector<double> results;
  std::vector<std::int64_t> settled;
  std::set<std::int64_t> made;  ///< by this rank
  bool completed = false;

  bool operator==(const Pass& other) const {
    return results == other.results && settled == other.settled && completed == other.completed;
  }
};

/// Sums of samples in batches of 3, up to batch `last`.
Pass pass(Team* team, std::int64_t samples, int threads, std::int64_t last) {
  const internal::BatchLoop loop{.samples = samples, .batch_size = 3, .threads = threads, .stage = "test"};
  Pass result{.results = std::vector<double>(static_cast<std::size_t>(loop.batches()), -1)};
  std::mutex mutex;
  result.completed = share_batches(
      team, "test", loop, {},
      [&](const BatchRange& batch, std::size_t) -> std::optional<BatchResult> {
        const std::lock_guard lock(mutex);
        result.made.insert(batch.index);
        return BatchResult{at::arange(batch.begin, batch.end).sum(), at::tensor({1.5, 2.5})};
      },
      [&](const BatchRange& batch, const BatchResult& made) {
        expect(at::equal(made.at(1), at::tensor({1.5, 2.5})), "another tensor came");
        result.results.at(static_cast<std::size_t>(batch.index)) = made.at(0).item<double>();
      },
      [&](const BatchRange& batch) {
        result.settled.push_back(batch.index);
        return batch.index == last;
      });
  for (std::size_t batch = static_cast<std::size_t>(last) + 1; batch < result.results.size(); ++batch)
    result.results[batch] = -1;  // made beyond the end, or not: as if never asked for
  return result;
}

std::vector<Pass> passes_on_ranks(int ranks, std::int64_t samples, int threads, std::int64_t last) {
  std::vector<Pass> passes(static_cast<std::size_t>(ranks));
  const auto failures = failures_on_ranks(ranks, [&](Communicator& communicator) {
    Team team(communicator);
    passes[static_cast<std::size_t>(team.rank())] = pass(&team, samples, threads, last);
  });
  for (const auto& failure : failures) CHECK(failure.empty());
  return passes;
}

}  // namespace

TEST_CASE("batches shared by ranks give every rank what one process has, wherever a pass ends") {
  for (const std::int64_t samples : {0, 1, 7, 100})
    for (const std::int64_t last : {std::int64_t{0}, std::int64_t{4}, std::int64_t{1000}}) {
      const Pass alone = pass(nullptr, samples, 1, last);
      for (const int ranks : {1, 2, 3, 5}) {
        CAPTURE(samples, last, ranks);
        const auto passes = passes_on_ranks(ranks, samples, 2, last);
        std::size_t made = 0;
        for (const Pass& of_rank : passes) {
          CHECK(of_rank == alone);
          made += of_rank.made.size();
        }
        CHECK(made <= alone.results.size());  // no batch is made twice
        if (last == 1000) CHECK(made == alone.results.size());
      }
    }
}

TEST_CASE("tensors of any type and shape survive being packed, bit for bit") {
  const BatchResult tensors{at::tensor({1.5F, -0.F}), at::empty({0, 3}, at::kLong), at::scalar_tensor(true, at::kBool),
                            at::arange(6).reshape({2, 3}).t(), at::full({2}, 1.25, at::kBFloat16)};
  const BatchResult again = internal::unpack(internal::pack(tensors));
  REQUIRE(again.size() == tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    CHECK(again[i].scalar_type() == tensors[i].scalar_type());
    CHECK(again[i].sizes() == tensors[i].sizes());
    CHECK(at::equal(again[i], tensors[i]));
  }
  const std::string bytes = internal::pack(tensors);
  for (const std::size_t size : {std::size_t{0}, std::size_t{9}, bytes.size() - 1})
    CHECK_THROWS_AS(internal::unpack(bytes.substr(0, size)), Error);
}

TEST_CASE("an error on one rank ends the pass on all, which say whose it was") {
  const auto failures = failures_on_ranks(3, [](Communicator& communicator) {
    Team team(communicator);
    share_batches(
        &team, "test", {.samples = 30, .batch_size = 1, .stage = "test"}, {},
        [&](const BatchRange& batch, std::size_t) -> std::optional<BatchResult> {
          if (batch.index == 7) throw Error(Errc::NonFinite, "sample 7 is NaN");
          return BatchResult{};
        },
        [](const BatchRange&, const BatchResult&) {});
  });
  CHECK(failures == std::vector<std::string>{"rank 1: sample 7 is NaN", "sample 7 is NaN", "rank 1: sample 7 is NaN"});
}

TEST_CASE("a wish to stop of one rank stops all, at one place") {
  std::vector<int> completed(3, 1);
  std::vector<int> taken(3);
  const auto failures = failures_on_ranks(3, [&](Communicator& communicator) {
    int asked = 0;
    Team team(communicator, [&] { return communicator.rank() == 2 && ++asked > 3; });
    const auto rank = static_cast<std::size_t>(team.rank());
    completed[rank] = share_batches(
        &team, "test", {.samples = 300, .batch_size = 1, .stage = "test"}, {},
        [](const BatchRange&, std::size_t) -> std::optional<BatchResult> { return BatchResult{}; },
        [&](const BatchRange&, const BatchResult&) { ++taken[rank]; });
    expect(team.stopped() && team.monitor({}).stopped(), "it goes on");
    bool stopped = false;
    try {
      (void)team.from_first("more", [] { return std::string("work"); });
    } catch (const Stopped&) {
      stopped = true;
    }
    expect(stopped, "it works on");
  });
  for (const auto& failure : failures) CHECK(failure.empty());
  CHECK(completed == std::vector<int>(3, 0));
  CHECK(taken[0] < 300);
  CHECK(taken == std::vector<int>(3, taken[0]));
}

TEST_CASE("what rank 0 makes all ranks have, and what it throws they throw") {
  const auto failures = failures_on_ranks(3, [](Communicator& communicator) {
    Team team(communicator);
    const std::string made = team.from_first("work", [&] {
      expect(team.is_first(), "another rank makes it");
      return std::string("a\0b", 3);
    });
    expect(made == std::string("a\0b", 3), "other bytes came");
    expect(team.seconds() >= 0, "the clock runs backwards");
    (void)team.from_first("work", []() -> std::string { throw Error(Errc::Io, "the disk is full"); });
  });
  CHECK(failures ==
        std::vector<std::string>{"the disk is full", "rank 0: the disk is full", "rank 0: the disk is full"});
}

TEST_CASE("ranks that differ are told in what, and which they are") {
  const auto failures = failures_on_ranks(4, [](Communicator& communicator) {
    Team team(communicator);
    team.require_same("seed", "1");
    team.require_same("the network", communicator.rank() % 2 == 0 ? "aa" : "bb");
  });
  for (const auto& failure : failures)
    CHECK(failure ==
          "ranks differ in the network: rank 1 has \"bb\", rank 3 has \"bb\", 2 of 4 have \"aa\": all ranks "
          "need the same");
}

TEST_CASE("ranks at different places of a run are told, not mixed up") {
  const auto failures = failures_on_ranks(2, [](Communicator& communicator) {
    Team team(communicator);
    (void)team.exchange(communicator.rank() == 0 ? "scoring plan 1" : "scoring plan 2", "bytes");
  });
  for (const auto& failure : failures)
    CHECK(
        failure.starts_with("ranks do not do the same: rank 0 is at \"scoring plan 1\", not so rank 1 (rank 1 is at "
                            "\"scoring plan 2\")"));
}

TEST_CASE("an error outside of an exchange reaches the ranks that wait for one") {
  const auto failures = failures_on_ranks(3, [](Communicator& communicator) {
    Team team(communicator);
    team.share_failures([&] {
      if (team.rank() == 1) throw std::runtime_error("cannot read the weights");
      return team.exchange("next", "");
    });
  });
  CHECK(failures == std::vector<std::string>{"rank 1: cannot read the weights", "cannot read the weights",
                                             "rank 1: cannot read the weights"});
}
