// `halftone launch`, which starts this program's processes, and what they say of a rank that fails.
#include <csignal>

#include "catch.hpp"
#include "cli/call.hpp"
#include "distributed/processes.hpp"
#include "temp_dir.hpp"

using Catch::Contains;

namespace {

constexpr std::chrono::seconds kEnough{120};

/// The program with `words`, its standard error written to `errors`.
std::vector<std::string> launch(const Words& words, const std::filesystem::path& errors) {
  std::string command = "exec \"$0\" \"$@\" 2>" + errors.string();
  return Words{"/bin/sh", "-c", command, HALFTONE_PROGRAM, "launch"} + words;
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Processes whose parent is `parent`.
std::vector<pid_t> children_of(pid_t parent) {
  std::ifstream list("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; list >> child;) children.push_back(child);
  return children;
}

/// All `count` ranks of a launcher; fewer where they do not come up.
std::vector<pid_t> ranks_of(pid_t launcher, std::size_t count) {
  for (int tries = 0; tries < 1000; ++tries) {
    auto ranks = children_of(launcher);
    if (ranks.size() == count) return ranks;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return {};
}

/// Takes a while in every rank.
const Words kLong{"-n", "3", "--", "evaluate", kModel, "--data", validation("")};

}  // namespace

TEST_CASE("launch shows what rank 0 writes, once, and takes its exit code") {
  const TempDir dir;
  Process job(launch({"-n", "3", "--", "evaluate", "--help"}, dir / "errors"));
  CHECK(job.exit_code(kEnough) == 0);
  CHECK(job.output() == call({"evaluate", "--help"}).out);
  CHECK(text_of(dir / "errors").empty());
}

TEST_CASE("launch of options that ranks refuse ends with 2 and says which rank") {
  const TempDir dir;
  Process job(launch({"-n", "2", "--", "evaluate", "--nonsense"}, dir / "errors"));
  CHECK(job.exit_code(kEnough) == 2);
  CHECK_THAT(text_of(dir / "errors"), Contains("\"--nonsense\" is not known here") &&
                                          Contains("of 2 ended with exit code 2, the first to fail"));
}

TEST_CASE("launch ends all ranks where one is killed, and names it") {
  const TempDir dir;
  Process job(launch(kLong, dir / "errors"));
  const auto ranks = ranks_of(job.id(), 3);
  REQUIRE(ranks.size() == 3);
  ::kill(ranks[2], SIGKILL);
  CHECK(job.exit_code(kEnough) == 3);
  CHECK_THAT(text_of(dir / "errors"), Contains("rank 2 of 3 was killed by signal 9 (Killed), the first to fail"));
  for (const pid_t rank : ranks) CHECK(::kill(rank, 0) != 0);
}

TEST_CASE("launch starts all ranks again as often as it is told") {
  const TempDir dir;
  Process job(launch(Words{"--max-restarts", "1"} + kLong, dir / "errors"));
  for (int run = 0; run < 2; ++run) {
    const auto ranks = ranks_of(job.id(), 3);
    REQUIRE(ranks.size() == 3);
    for (const pid_t rank : ranks) ::kill(rank, SIGKILL);
    while (!children_of(job.id()).empty() && children_of(job.id()) == ranks)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(job.exit_code(kEnough) == 3);
  CHECK_THAT(text_of(dir / "errors"), Contains("halftone launch: restart 1 of 1") && !Contains("restart 2"));
}

TEST_CASE("ranks end with their launcher") {
  const TempDir dir;
  Process job(launch(kLong, dir / "errors"));
  const auto ranks = ranks_of(job.id(), 3);
  REQUIRE(ranks.size() == 3);
  ::kill(job.id(), SIGKILL);
  job.finish(kEnough);
  const auto runs = [](pid_t rank) {
    std::ifstream stat("/proc/" + std::to_string(rank) + "/stat");
    std::string word;
    stat >> word >> word >> word;
    return stat && word != "Z";
  };
  for (int tries = 0; tries < 1000 && (runs(ranks[0]) || runs(ranks[1]) || runs(ranks[2])); ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  for (const pid_t rank : ranks) CHECK(!runs(rank));
}

TEST_CASE("launch passes SIGTERM on") {
  const TempDir dir;
  Process job(launch(kLong, dir / "errors"));
  REQUIRE(ranks_of(job.id(), 3).size() == 3);
  ::kill(job.id(), SIGTERM);
  CHECK(job.finish(kEnough));
}

TEST_CASE("launch says what it needs") {
  CHECK_THAT(call({"launch", "-n", "2"}).err, Contains("COMMAND is required"));
  CHECK_THAT(call({"launch", "-n", "0", "--", "models"}).err, Contains("a whole number from 1"));
  const auto alone = call({"launch", "--", "bench", kModel});
  CHECK(alone.code == 2);
  CHECK_THAT(alone.err, Contains("\"bench\" is not shared by ranks"));
  const auto many = call({"launch", "-n", "100000", "--", "models"});
  CHECK(many.code == 2);
  CHECK_THAT(many.err, Contains("--ranks is 100000: at most"));
  CHECK_THAT(call({"launch", "--help"}).out, Contains("halftone launch -n 4 -- quantize"));
}
