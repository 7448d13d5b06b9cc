#pragma once

#include <memory>

#include "halftone/distributed/communicator.hpp"

namespace halftone::cli {

/// Ranks as the environment of this process says (`rank_environment`), over gloo or MPI; null where it works alone.
/// Throws as what makes them.
std::unique_ptr<Communicator> communicator_from_environment();

/// Ranks of this job on this host, which share its cores; 1 where this process works alone.
int ranks_on_this_host();

}  // namespace halftone::cli
