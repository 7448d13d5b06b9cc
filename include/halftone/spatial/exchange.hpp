#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "halftone/distributed/communicator.hpp"
#include "halftone/spatial/rows.hpp"

namespace halftone {

// Images are [n, channels, rows, width]. All ranks make the same calls in the same order, and all or none of them need
// a gradient: autograd then goes back through the exchanges in one order on every rank. What is differentiated is the
// sum of the losses of all ranks, so the sum over ranks of a parameter's gradients is its gradient, and where every
// rank computes one and the same loss, their mean. Gradients of gradients work as well. Communicators have to outlive
// the backward pass; ranks that are threads need one on the CPU, where each thread runs its own.

/// From an image of which this rank holds its rows of `split`, the rows `needed[rank]`, of any number, from the ranks
/// that hold them. `needed` is what every rank needs, equal on all. The gradients of rows that came from elsewhere go
/// back there and are added, by rank. Cost: `row_transfers`, forward and backward. Throws `InvalidArgument` for rows
/// beyond the image, or a tensor that does not hold this rank's rows.
at::Tensor fetch_rows(const at::Tensor& x, const RowSplit& split, std::span<const RowRange> needed,
                      Communicator& communicator);

/// The whole image on every rank.
at::Tensor gather_rows(const at::Tensor& x, const RowSplit& split, Communicator& communicator);

/// This rank's rows of an image that it holds as a whole; a view.
at::Tensor split_rows(const at::Tensor& whole, const RowSplit& split, int rank);

/// The sum of all ranks' tensors, of one shape, on every rank. Backward sums the ranks' gradients in turn.
at::Tensor sum_over_ranks(const at::Tensor& x, Communicator& communicator);

}  // namespace halftone
