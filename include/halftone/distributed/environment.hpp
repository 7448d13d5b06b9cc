#pragma once

#include <functional>
#include <string>

namespace halftone {

/// What the variables of a launcher say of this process.
struct RankEnvironment {
  int rank = 0;
  int size = 1;                       ///< 1 where there is no launcher
  std::string address = "127.0.0.1";  ///< of rank 0
  int port = 29500;                   ///< there
  int ranks_here = 1;                 ///< on this host, as far as the launcher says
  int listener = -1;                  ///< rank 0's socket that listens at `port` already; -1: none
  bool by_mpi = false;                ///< mpirun started it, and nothing says where rank 0 is
};

/// Reads RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT and LOCAL_WORLD_SIZE, as `halftone launch` (with
/// HALFTONE_LISTENER, of a socket that rank 0 inherits) and torchrun set them, or OMPI_COMM_WORLD_RANK,
/// OMPI_COMM_WORLD_SIZE and OMPI_COMM_WORLD_LOCAL_SIZE of Open MPI's mpirun; MASTER_ADDR and MASTER_PORT beside those
/// take gloo instead of MPI. `variable` gives the value of a variable, null where it is not set. Throws
/// `InvalidArgument` for values that do not fit, or some without others.
RankEnvironment rank_environment(const std::function<const char*(const char*)>& variable);

}  // namespace halftone
