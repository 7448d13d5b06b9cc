#pragma once

#include <chrono>
#include <memory>

#include "halftone/distributed/communicator.hpp"

namespace halftone {

struct MpiOptions {
  /// A collective, send or receive that takes longer throws `LostRank`.
  std::chrono::milliseconds timeout = std::chrono::minutes(30);
};

/// All processes that `mpirun` or its like started; MPI moves the bytes. Where one ends, mpirun ends the others; one
/// that stopped is noticed after `timeout`. Initializes MPI where nobody has, and finalizes it then when the
/// communicator is destroyed; MPI must allow calls from several threads, one at a time. Tensors are on the CPU.
///
/// Throws `Unsupported` where Halftone was built without MPI.
std::unique_ptr<Communicator> make_mpi_communicator(const MpiOptions& options = {});

/// Whether Halftone was built with MPI.
bool has_mpi();

}  // namespace halftone
