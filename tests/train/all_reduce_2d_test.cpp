#include "halftone/train/all_reduce_2d.hpp"

#include <ATen/ATen.h>

#include "catch.hpp"
#include "distributed/on_ranks.hpp"

using namespace halftone;

namespace {

/// Small integers: sums are exact in any order.
at::Tensor of_rank(int rank, std::int64_t length) {
  return at::arange(length, at::kFloat).mul_(rank + 1).remainder_(17).view({length, 1});
}

}  // namespace

TEST_CASE("the sum over rows and columns is the flat sum, for lengths that do not divide too") {
  for (const int ranks : {1, 2, 4, 6})
    for (const int columns : {1, 2, 3, 4, 6}) {
      if (ranks % columns != 0) continue;
      for (const std::int64_t length : {1, 7, 24}) {
        CAPTURE(ranks, columns, length);
        at::Tensor sum = at::zeros({length, 1});
        for (int rank = 0; rank < ranks; ++rank) sum += of_rank(rank, length);
        const auto results = on_ranks(ranks, [&](Communicator& communicator) {
          const RankGrid grid = make_rank_grid(communicator, columns);
          const at::Tensor tensor = of_rank(communicator.rank(), length);
          all_reduce_2d(tensor, grid);
          return tensor;
        });
        for (const auto& result : results) CHECK(at::equal(result, sum));
      }
    }
}

TEST_CASE("a rank sends 2 (X - 1) / X M + 2 (Y - 1) / Y M / X bytes on X columns and Y rows") {
  constexpr std::int64_t kLength = 96;
  constexpr std::int64_t kBytes = 4 * kLength;
  for (const auto& [x, y] : std::vector<std::pair<int, int>>{{2, 2}, {4, 1}, {1, 4}, {3, 2}, {2, 3}}) {
    const auto sent = on_ranks(x * y, [columns = x](Communicator& communicator) {
      const RankGrid grid = make_rank_grid(communicator, columns);
      all_reduce_2d(at::ones({kLength}), grid);
      return grid.row->traffic().bytes + grid.column->traffic().bytes;
    });
    CAPTURE(x, y);
    for (const std::int64_t bytes : sent) CHECK(bytes == 2 * (x - 1) * kBytes / x + 2 * (y - 1) * kBytes / y / x);
  }
}

TEST_CASE("a grid has whole rows") {
  CHECK_THAT(error_message([] {
               const auto ranks = make_thread_communicators(1);
               make_rank_grid(*ranks[0], 2);
             }),
             Catch::Contains("1 ranks do not fill 2 columns"));
}
