// Seconds of all-reduces between processes of this host, ours and gloo's own, for tensors of 4 B to 16 MB:
// collective_speed [PROCESSES…]. Sums of ours are in the order of ranks; gloo's are not.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "halftone/distributed/gloo.hpp"

using namespace halftone;

namespace {

/// Seconds of one call, the fastest of `calls` after a few that are not counted, as others use this host too; all ranks
/// begin together.
double seconds(Communicator& ranks, int calls, const std::function<void()>& call) {
  std::vector<double> times;
  for (int i = -3; i < calls; ++i) {
    ranks.barrier();
    const auto before = std::chrono::steady_clock::now();
    call();
    if (i >= 0) times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count());
  }
  return *std::min_element(times.begin(), times.end());
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> plain_gloo(int rank, int size, int port) {
  c10d::TCPStoreOptions where;
  where.port = static_cast<std::uint16_t>(port);
  where.isServer = rank == 0;
  where.waitWorkers = false;
  const auto how = c10d::ProcessGroupGloo::Options::create();
  how->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
  const auto store = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", where);
  return c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("plain", store), rank, size,
                                                     how);
}

void measure(int rank, int size, int port) {
  at::set_num_threads(1);
  const auto ranks = make_gloo_communicator({.rank = rank, .size = size, .port = port});
  const auto gloo = plain_gloo(rank, size, port + 1);
  if (rank == 0) std::printf("%d processes\n%10s %12s %12s %8s\n", size, "bytes", "ours, us", "gloo, us", "ratio");
  for (std::int64_t bytes = 4; bytes <= 16 << 20; bytes *= 4) {
    const int calls = bytes < 1 << 20 ? 200 : 40;
    const at::Tensor tensor = at::ones({bytes / 4});
    const double ours = seconds(*ranks, calls, [&] { ranks->all_reduce(tensor.fill_(1)); });
    const double theirs = seconds(*ranks, calls, [&] {
      std::vector<at::Tensor> tensors{tensor.fill_(1)};
      gloo->allreduce(tensors)->wait();
    });
    if (rank == 0)
      std::printf("%10ld %12.0f %12.0f %8.2f\n", static_cast<long>(bytes), ours * 1e6, theirs * 1e6, ours / theirs);
    std::fflush(stdout);
  }
  ranks->barrier();
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::stoi(argv[i]));
  if (sizes.empty()) sizes = {2, 4};
  int port = 20000 + static_cast<int>(::getpid() % 20000);
  for (const int size : sizes) {
    port += 2;
    std::vector<pid_t> children;
    for (int rank = 0; rank < size; ++rank) {
      const pid_t child = ::fork();  // before LibTorch has threads
      if (child == 0) {
        measure(rank, size, port);
        std::_Exit(0);
      }
      children.push_back(child);
    }
    for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  }
}
