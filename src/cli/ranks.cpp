#include "cli/ranks.hpp"

#include <chrono>
#include <cstdlib>

#include "halftone/distributed/environment.hpp"
#include "halftone/distributed/gloo.hpp"
#include "halftone/distributed/mpi.hpp"

namespace halftone::cli {
namespace {

RankEnvironment environment() {
  return rank_environment([](const char* name) { return std::getenv(name); });
}

}  // namespace

std::unique_ptr<Communicator> communicator_from_environment() {
  const RankEnvironment ranks = environment();
  if (ranks.size == 1) return nullptr;
  if (ranks.by_mpi) return make_mpi_communicator();
  return make_gloo_communicator({.rank = ranks.rank,
                                 .size = ranks.size,
                                 .address = ranks.address,
                                 .port = ranks.port,
                                 .listener = ranks.listener,
                                 // Rank 0 may time networks for long; ranks that are lost are found by signs of life.
                                 .timeout = std::chrono::hours(24)});
}

int ranks_on_this_host() { return environment().ranks_here; }

}  // namespace halftone::cli
