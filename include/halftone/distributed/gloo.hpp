#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "halftone/distributed/communicator.hpp"

namespace halftone {

/// One process of a job of several, on this host or on more.
struct GlooOptions {
  int rank = 0;
  int size = 1;
  std::string address = "127.0.0.1";  ///< of rank 0, a name or number that all reach
  int port = 29500;                   ///< there; free
  int listener = -1;  ///< of rank 0: a socket that listens at `port`, taken over by two ranks or more; -1: none
  /// All ranks must be there by then.
  std::chrono::milliseconds start_timeout = std::chrono::minutes(5);
  /// A collective, send or receive that takes longer ends the job; ranks may have as much other work between two.
  std::chrono::milliseconds timeout = std::chrono::minutes(30);
  /// A rank whose process gives no sign of life for so long is lost, however little the others ask of it; one that
  /// merely works is not. At least 1 s: signs come once a second, or four in this time.
  std::chrono::milliseconds lost_after = std::chrono::seconds(15);
};
std::vector<std::string> validate(const GlooOptions& options);

/// Ranks that are processes, over TCP between all of them: c10d's gloo moves the bytes, and a store that rank 0 hosts
/// tells each the others' addresses. Returns once all are there; each starts one thread of gloo and two that watch the
/// others. A rank that was killed, stopped, or left while others wait for it makes all others' calls throw `LostRank`
/// within `lost_after` and two seconds, naming it, also those under way. When rank 0's is destroyed it waits for the
/// others to leave, three signs of life at most. Tensors are on the CPU.
/// SIGPIPE is ignored from then on where the process left it alone: gloo writes to lost ranks too.
///
/// Throws `InvalidArgument` for options that do not fit or differ between ranks, `Io` where rank 0 cannot listen at
/// `port`, and `LostRank` naming those who did not come.
std::unique_ptr<Communicator> make_gloo_communicator(const GlooOptions& options);

}  // namespace halftone
