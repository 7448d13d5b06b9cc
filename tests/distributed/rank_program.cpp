// One rank of a job, for tests: rank_program ENGINE RANK SIZE PORT WHAT [LOST_AFTER_MS [TIMEOUT_MS [START_TIMEOUT_MS
// [ADDRESS]]]]. What went wrong goes to standard output, in a line. Exit code: 0 all is well, 1 a law is broken, 2 an
// Error.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>

#include "distributed/laws.hpp"
#include "distributed/training_laws.hpp"
#include "halftone/core/error.hpp"
#include "halftone/distributed/agreement.hpp"
#include "halftone/distributed/gloo.hpp"
#include "halftone/distributed/mpi.hpp"

using namespace halftone;

namespace {

int tell(const std::vector<std::string>& broken) {
  for (const auto& law : broken) std::cout << law << '\n';
  return broken.empty() ? 0 : 1;
}

void end_where(bool here, int signal) {
  if (here) ::raise(signal);
}

/// All others wait inside sums for `lost`, which ends or stops.
int lose(Communicator& ranks, int lost, int signal) {
  const at::Tensor tensor = at::ones({1000});
  ranks.all_reduce(tensor);
  end_where(ranks.rank() == lost, signal);
  const auto under_way = ranks.start_all_reduce(tensor);
  ranks.all_reduce(at::ones({10}));
  under_way->wait();
  return 0;
}

/// Ranks do something else for `time`, much longer than ranks may give no sign of life, in turn.
int work_long(Communicator& ranks, std::chrono::milliseconds time) {
  for (int busy = 0; busy < 2; ++busy) {
    if (ranks.rank() == busy) std::this_thread::sleep_for(time);
    ranks.barrier();
  }
  return 0;
}

int stay_behind(Communicator& ranks) {
  ranks.barrier();
  if (ranks.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(20));
  ranks.barrier();
  return 0;
}

int leave_early(Communicator& ranks, int early) {
  ranks.barrier();
  if (ranks.rank() == early) return 0;
  ranks.barrier();
  return 0;
}

int differ(Communicator& ranks) {
  require_same(ranks, "options", ranks.rank() == ranks.size() - 1 ? "seed 2" : "seed 1");
  return 0;
}

/// A line with the engine and the sum of ranks.
int sum(Communicator& ranks) {
  const at::Tensor total = at::full({1}, ranks.rank(), at::kLong);
  ranks.all_reduce(total);
  if (ranks.rank() == 0) std::cout << ranks.engine() << ' ' << total.item<std::int64_t>() << '\n';
  return 0;
}

int act(Communicator& ranks, const std::string& what) {
  if (what == "laws") return tell(broken_laws(ranks));
  if (what == "training-laws") return tell(broken_training_laws(ranks));
  if (what == "train-kill-1") return lose_in_training(ranks, 1), 0;
  if (what == "sum") return sum(ranks);
  if (what == "kill-1") return lose(ranks, 1, SIGKILL);
  if (what == "kill-0") return lose(ranks, 0, SIGKILL);
  if (what == "stop-1") return lose(ranks, 1, SIGSTOP);
  if (what == "stop-0") return lose(ranks, 0, SIGSTOP);
  if (what == "busy") return work_long(ranks, std::chrono::seconds(4));
  if (what == "behind") return stay_behind(ranks);
  if (what == "early-0") return leave_early(ranks, 0);
  if (what == "early-1") return leave_early(ranks, 1);
  if (what == "differ") return differ(ranks);
  throw std::invalid_argument(what);
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    std::unique_ptr<Communicator> ranks;
    if (words.at(0) == "mpi") {
      ranks = make_mpi_communicator();
      return act(*ranks, words.at(1));
    }
    GlooOptions options{.rank = std::stoi(words.at(1)), .size = std::stoi(words.at(2)), .port = std::stoi(words.at(3))};
    if (words.size() > 5) options.lost_after = std::chrono::milliseconds(std::stoi(words[5]));
    if (words.size() > 6) options.timeout = std::chrono::milliseconds(std::stoi(words[6]));
    if (words.size() > 7) options.start_timeout = std::chrono::milliseconds(std::stoi(words[7]));
    if (words.size() > 8) options.address = words[8];
    ranks = make_gloo_communicator(options);
    return act(*ranks, words.at(4));
  } catch (const Error& error) {
    std::cout << (error.code() == Errc::LostRank ? "lost: " : "error: ") << error.what() << std::endl;
    return 2;
  }
}
