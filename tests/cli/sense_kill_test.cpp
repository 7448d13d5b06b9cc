#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "catch.hpp"
#include "cli/call.hpp"
#include "cli/process.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/journal.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

Words sense(const fs::path& out) {
  return {"sense",        kModel,
          "--calibrate",  calibration("[0:24]"),
          "--metric",     "error,damage,noise",
          "--precisions", "4",
          "--eval-batch", "4",
          "--threads",    "2",
          "--out",        out.string()};
}

/// Ends the child once `journal` has grown to `bytes`; whether it was still at work.
bool kill_at(pid_t child, const fs::path& journal, std::uintmax_t bytes) {
  int status = 0;
  std::error_code ignored;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    const auto size = fs::file_size(journal, ignored);
    if (!ignored && size >= bytes) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return WIFSIGNALED(status);
}

void remove_times(json& value) {
  if (value.is_object()) value.erase("seconds");
  if (value.is_structured())
    for (auto& element : value) remove_times(element);
}

json result(const fs::path& path) {
  json read = json::parse(read_text(path));
  remove_times(read);
  return read;
}

}  // namespace

TEST_CASE("sense that was killed, twice, goes on from its journal and ends with the same file") {
  const TempDir dir;
  REQUIRE(call(sense(dir / "whole.json")).code == 0);
  CHECK(dir.count() == 1);  // no journal is left
  const fs::path out = dir / "killed.json";
  const fs::path journal = dir / "killed.json.journal";
  REQUIRE(kill_at(start(sense(out)), journal, 2000));
  CHECK_FALSE(fs::exists(out));
  const auto left = fs::file_size(journal);
  REQUIRE(kill_at(start(sense(out)), journal, left + 2000));
  CHECK(fs::file_size(journal) > left);
  REQUIRE(finish(start(sense(out))) == 0);
  CHECK(result(out).dump() == result(dir / "whole.json").dump());
  CHECK(dir.count() == 2);
}

TEST_CASE("another command with the same output is refused, and takes nothing from the work that is there") {
  const TempDir dir;
  const fs::path out = dir / "s.json";
  const fs::path journal = dir / "s.json.journal";
  REQUIRE(kill_at(start(sense(out)), journal, 2000));
  const std::string before = read_text(journal);
  Words other = sense(out);
  *std::find(other.begin(), other.end(), "error,damage,noise") = "error";
  const auto refused = call(other);
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Catch::Contains("holds unfinished work of another command") &&
                              Catch::Contains("with --metric error,damage,noise (now error):") &&
                              Catch::Contains("choose another --out"));
  CHECK(read_text(journal) == before);
  Words more = sense(out);
  *std::find(more.begin(), more.end(), "error,damage,noise") = "noise, damage,error,interlayer";
  *std::find(more.begin(), more.end(), "4") = " 4,16";
  const auto ended = call(more);
  CHECK(ended.code == 0);
  CHECK_THAT(ended.err, Catch::Contains("Going on from what an earlier run left in"));
}

TEST_CASE("a second sense with the same output is refused while the first is at work") {
  const TempDir dir;
  const Journal held(dir / "s.json.journal");
  const auto refused = call(sense(dir / "s.json"));
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Catch::Contains("is in use by another process"));
  CHECK(dir.count() == 1);
}
