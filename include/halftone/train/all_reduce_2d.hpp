#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "halftone/distributed/communicator.hpp"

namespace halftone {

/// Ranks as a grid of `row.size()` columns: rank = `column.rank()` times that + `row.rank()`.
struct RankGrid {
  std::unique_ptr<Communicator> row;     ///< ranks that lie side by side
  std::unique_ptr<Communicator> column;  ///< ranks of equal `row.rank()`
};

/// All ranks call. `communicator` outlives the grid. Throws `InvalidArgument` where its size is no multiple of
/// `columns`.
RankGrid make_rank_grid(Communicator& communicator, int columns);

/// Every rank's `tensor` becomes the sum of all: reduce-scatter along rows, all-reduce of that share along columns,
/// all-gather along rows. On X columns and Y rows a rank sends 2 (X - 1) / X M + 2 (Y - 1) / Y M / X bytes of a tensor
/// of M, as many as in one ring, in 2 (X + Y - 2) steps where a ring takes 2 (X Y - 1). A length that X does not divide
/// is padded. Sums are in another order than those of the flat one.
///
/// Source: Ying et al., *Image Classification at Supercomputer Scale*, 2018, 2-D gradient summation.
void all_reduce_2d(const at::Tensor& tensor, const RankGrid& grid);

}  // namespace halftone
