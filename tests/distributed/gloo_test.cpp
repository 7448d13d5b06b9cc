// Ranks that are processes over gloo: laws of communicators and of training, and what becomes of the others where one
// is lost. Each is a rank_program.
#include "halftone/distributed/gloo.hpp"

#include <array>
#include <ifaddrs.h>
#include <memory>
#include <net/if.h>
#include <netdb.h>

#include "distributed/free_port.hpp"
#include "distributed/processes.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using Ranks = std::vector<std::unique_ptr<Process>>;

/// Ranks that do `what`, called lost after 2 s without a sign of life.
Ranks start(int size, const std::string& what, milliseconds timeout = seconds(60),
            milliseconds lost_after = seconds(2)) {
  const std::string port = std::to_string(free_port());
  Ranks ranks;
  for (int rank = 0; rank < size; ++rank)
    ranks.push_back(std::make_unique<Process>(
        std::vector<std::string>{HALFTONE_RANK_PROGRAM, "gloo", std::to_string(rank), std::to_string(size), port, what,
                                 std::to_string(lost_after.count()), std::to_string(timeout.count())}));
  return ranks;
}

/// Of this host's, as others see it; empty where it has none.
std::string outward_address() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(all, ::freeifaddrs);
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    std::array<char, NI_MAXHOST> text{};
    if (one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET && (one->ifa_flags & IFF_LOOPBACK) == 0 &&
        (one->ifa_flags & IFF_UP) != 0 &&
        ::getnameinfo(one->ifa_addr, sizeof(sockaddr_in), text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0)
      return text.data();
  }
  return {};
}

constexpr seconds kEnough{120};  ///< for processes that start on a busy machine

/// That all ranks but `lost` end with an error, and say `text`.
void require_named(const Ranks& ranks, int lost, const std::string& text) {
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (static_cast<int>(rank) == lost) continue;
    CAPTURE(rank);
    CHECK(ranks[rank]->exit_code(kEnough) == 2);
    CHECK_THAT(ranks[rank]->output(), Contains(text));
  }
}

}  // namespace

TEST_CASE("ranks that are processes keep the laws of communicators") {
  const int size = GENERATE(2, 3, 4);
  const auto ranks = start(size, "laws", seconds(60), seconds(15));
  for (const auto& rank : ranks) {
    CHECK(rank->exit_code(kEnough) == 0);
    CHECK(rank->output().empty());
  }
}

TEST_CASE("ranks that are processes train as one process does: updates in shards, batch norm, split rows, and all") {
  const int size = GENERATE(2, 4);
  const auto ranks = start(size, "training-laws", seconds(60), seconds(15));
  for (const auto& rank : ranks) {
    CHECK(rank->exit_code(kEnough) == 0);
    CHECK(rank->output().empty());
  }
}

TEST_CASE("a rank that is killed in training is named to all others within seconds") {
  const auto ranks = start(3, "train-kill-1");
  require_named(ranks, 1, "lost: rank 1 of 3 was lost: its connections closed");
}

TEST_CASE("a rank that is killed is named to all others, inside their sums") {
  const auto ranks = start(4, "kill-1");
  require_named(ranks, 1, "lost: rank 1 of 4 was lost: its connections closed");
}

TEST_CASE("rank 0, where the store is, is named as any other when it is killed") {
  const auto ranks = start(4, "kill-0");
  require_named(ranks, 0, "lost: rank 0 of 4 was lost: its ");
}

TEST_CASE("a rank that is stopped is named to all others") {
  const auto ranks = start(4, "stop-1");
  require_named(ranks, 1, "lost: rank 1 of 4 does not answer: no sign of life for 2 s");
}

TEST_CASE("rank 0 that is stopped is named by the silence of its store") {
  const auto ranks = start(4, "stop-0");
  require_named(ranks, 0, "lost: rank 0 of 4 does not answer: no word from its store");
}

TEST_CASE("a rank that works for longer than a lost one is silent is not lost") {
  for (const auto& rank : start(2, "busy")) CHECK(rank->exit_code(kEnough) == 0);
}

TEST_CASE("a rank that does not come to a collective within the timeout is named as behind") {
  const auto ranks = start(3, "behind", seconds(3));
  for (const int rank : {0, 2}) {
    const auto& process = ranks[static_cast<std::size_t>(rank)];
    CHECK(process->exit_code(kEnough) == 2);
    CHECK_THAT(process->output(), Contains("the timeout, in collective 2: rank 1 began 1"));
  }
}

TEST_CASE("a rank that leaves while others wait for it is named") {
  const int early = GENERATE(0, 1);
  const auto ranks = start(3, "early-" + std::to_string(early));
  require_named(ranks, early, message("lost: rank ", early, " of 3 left"));
  CHECK(ranks[static_cast<std::size_t>(early)]->exit_code(kEnough) == 0);
}

TEST_CASE("ranks that differ in what they do are told on all ranks who differs") {
  const auto ranks = start(4, "differ");
  require_named(ranks, -1, "error: ranks differ in options: rank 3 has \"seed 2\", 3 of 4 have \"seed 1\"");
}

TEST_CASE("ranks that do not come are named") {
  const std::string port = std::to_string(free_port());
  const auto rank = [&](const char* number, const char* size) {
    return std::make_unique<Process>(
        std::vector<std::string>{HALFTONE_RANK_PROGRAM, "gloo", number, size, port, "laws", "2000", "60000", "3000"});
  };
  const auto first = rank("0", "4");
  const auto second = rank("2", "4");
  CHECK(first->exit_code(kEnough) == 2);
  CHECK_THAT(first->output(), Contains("lost: of 4 ranks these did not come within 3 s: 1, 3"));
  CHECK(second->exit_code(kEnough) == 2);
  CHECK_THAT(second->output(), Contains("lost: "));
  const auto late = rank("1", "4");
  CHECK(late->exit_code(kEnough) == 2);
  CHECK_THAT(late->output(), Contains("lost: rank 0 of 4 does not answer at 127.0.0.1:" + port));
}

TEST_CASE("rank 0 may know its host by an address that only it reaches") {
  const std::string outward = outward_address();
  if (outward.empty()) return;  // this host has no network
  const std::string port = std::to_string(free_port());
  const auto rank = [&](const char* number, const std::string& address) {
    return std::make_unique<Process>(std::vector<std::string>{HALFTONE_RANK_PROGRAM, "gloo", number, "2", port, "sum",
                                                              "2000", "60000", "20000", address});
  };
  const auto first = rank("0", "127.0.0.1");
  const auto second = rank("1", outward);
  CHECK(first->exit_code(kEnough) == 0);
  CHECK(first->output() == "gloo 1\n");
  CHECK(second->exit_code(kEnough) == 0);
}

TEST_CASE("two processes of one rank, and ranks of jobs of different sizes, are refused") {
  const std::string port = std::to_string(free_port());
  const auto rank = [&](const char* number, const char* size) {
    return std::make_unique<Process>(
        std::vector<std::string>{HALFTONE_RANK_PROGRAM, "gloo", number, size, port, "laws", "2000", "60000", "20000"});
  };
  const auto first = rank("0", "3");
  const auto second = rank("1", "3");
  const auto other_size = rank("2", "4");
  CHECK(other_size->exit_code(kEnough) == 2);
  CHECK_THAT(other_size->output(), Contains("error: rank 0 has a job of 3 ranks, and rank 2 one of 4"));
  const auto again = rank("1", "3");
  // Whichever comes second.
  CHECK(again->exit_code(kEnough) == 2);
  CHECK(second->exit_code(kEnough) == 2);
  CHECK_THAT(again->output() + second->output(), Contains("error: two processes are rank 1 of 3"));
}

TEST_CASE("options of ranks that do not fit are listed") {
  const Failure seen = failure([] {
    make_gloo_communicator({.rank = 4, .size = 4, .address = "", .port = 70000, .lost_after = milliseconds(10)});
  });
  CHECK(seen.code == Errc::InvalidArgument);
  CHECK_THAT(seen.text, Contains("rank is 4: 0 to 3 are the ranks of a job of 4"));
  CHECK_THAT(seen.text, Contains("address is empty"));
  CHECK_THAT(seen.text, Contains("port is 70000: 1 to 65535 are ports"));
  CHECK_THAT(seen.text, Contains("lost_after is 10 ms: at least 1000 ms is needed"));
  CHECK(validate(GlooOptions{}).empty());
}
