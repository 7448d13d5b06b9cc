#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "halftone/distributed/communicator.hpp"

namespace halftone {

/// What a batch norm keeps, each [channels]; `weight` and `bias` may be undefined together, which means 1 and 0.
struct BatchNormTensors {
  at::Tensor weight;
  at::Tensor bias;
  at::Tensor running_mean;
  at::Tensor running_var;
};

struct BatchNormOptions {
  double epsilon = 1e-5;
  double momentum = 0.1;  ///< share of the new in running statistics
};

/// Batch norm in training of `input` [samples, channels, ...] with the mean and variance of all ranks' samples, as if
/// their batches were joined; ranks' batches may differ in size and be empty. Running statistics move as in LibTorch's,
/// by the unbiased variance. All ranks of `communicator`, which is borrowed until backward is done, call; all of them
/// have to run backward, or none.
///
/// Backward gives the gradients of the sum of all ranks' losses for `input`, and this rank's part of those for `weight`
/// and `bias`: they are summed with all other gradients. It has no second derivatives.
///
/// Each rank takes mean m and squared deviations M of its samples in two passes over them; one all-gather of
/// (count, m, M), float64, and Chan's formula combine them: mean = sum(n m) / N, M = sum(M + n (m - mean)^2). So no
/// sum of squares cancels, and one collective is enough forward, one all-reduce of 2 x channels numbers backward.
/// Throws `InvalidArgument` for shapes that do not fit and where all ranks have fewer than 2 values a channel.
///
/// Source: Ioffe and Szegedy, *Batch Normalization*, 2015; Chan, Golub and LeVeque, *Updating Formulae and a Pairwise
/// Algorithm for Computing Sample Variances*, 1979; groups of ranks as Ying et al., *Image Classification at
/// Supercomputer Scale*, 2018.
at::Tensor distributed_batch_norm(const at::Tensor& input, const BatchNormTensors& tensors,
                                  const BatchNormOptions& options, Communicator& communicator);

/// The group of `size` neighbours that this rank is of: ranks 0 to size - 1, and so on. All ranks call. Throws
/// `InvalidArgument` where `size` does not divide the number of ranks.
std::unique_ptr<Communicator> neighbours(Communicator& communicator, int size);

}  // namespace halftone
