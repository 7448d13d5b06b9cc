// What a killed, a second and a changed `quantize` do in one output folder.
#include <nlohmann/json.hpp>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "catch.hpp"
#include "cli/call.hpp"
#include "cli/process.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/journal.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

Words quantize(const fs::path& out) {
  return {
      "quantize",  kModel,      "--calibrate",   calibration("[0:16]"), "--validate", validation("[0:48]"), "--keep",
      "90%,97%",   "--latency", "roofline:a100", "--evaluate",          "simulated",  "--eval-batch",       "4",
      "--threads", "2",         "--out",         out.string()};
}

std::string plan(const fs::path& out) { return read_text(out / "plan.json"); }

/// Kills the child unless it ends within `seconds`; whether it was killed.
bool kill_after(pid_t child, double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= end) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return WIFSIGNALED(status);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace

TEST_CASE("quantize that is killed at 20 random moments ends with the plan of an undisturbed run") {
  const TempDir dir;
  const auto before = std::chrono::steady_clock::now();
  REQUIRE(finish(start(quantize(dir / "whole"))) == 0);
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - before;
  std::mt19937 random(5);
  int kills = 0;
  int folders = 0;
  while (kills < 20) {
    const fs::path out = dir / ("run" + std::to_string(folders++));
    CAPTURE(out, kills);
    REQUIRE(folders < 60);
    while (kills < 20 &&
           kill_after(start(quantize(out)), std::uniform_real_distribution<double>(0, whole.count())(random)))
      ++kills;
    REQUIRE(finish(start(quantize(out))) == 0);
    REQUIRE(plan(out) == plan(dir / "whole"));
  }
}

TEST_CASE("quantize in a folder that another process works in is refused") {
  const TempDir dir;
  fs::create_directory(dir / "out");
  const Journal held(dir / "out" / "journal");
  const auto refused = call(quantize(dir / "out"));
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("is in use by another process"));
  CHECK(call(quantize(dir / "out") + Words{"--fresh"}).code == 2);
}

TEST_CASE("the same command again takes all from the journal, another takes what still holds, --fresh nothing") {
  const TempDir dir;
  const auto notes = [&] {
    const auto json = nlohmann::json::parse(read_text(dir / "out" / "run.json"));
    return json.at("notes").dump();
  };
  REQUIRE(call(quantize(dir / "out")).code == 0);
  CHECK_THAT(notes(), !Contains("taken from an earlier run"));
  const std::string first = plan(dir / "out");
  REQUIRE(call(quantize(dir / "out")).code == 0);
  CHECK_THAT(notes(), Contains("taken from an earlier run"));
  CHECK(plan(dir / "out") == first);
  Words other = quantize(dir / "out");
  other[7] = "60%";
  REQUIRE(call(other).code == 0);
  CHECK_THAT(notes(), Contains("taken from an earlier run"));
  REQUIRE(call(quantize(dir / "out") + Words{"--fresh"}).code == 0);
  CHECK_THAT(notes(), !Contains("taken from an earlier run"));
  CHECK(plan(dir / "out") == first);
}
