// Commands whose work is shared by several processes, and what becomes of it when one of them is lost.
#include <nlohmann/json.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "catch.hpp"
#include "cli/call.hpp"
#include "cli/process.hpp"
#include "distributed/free_port.hpp"
#include "halftone/core/file.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

Words quantize(const fs::path& out, const char* samples = "[0:48]") {
  return {"quantize",  kModel,      "--calibrate",   calibration("[0:16]"), "--validate", validation(samples), "--keep",
          "90%,97%",   "--latency", "roofline:a100", "--evaluate",          "simulated",  "--eval-batch",      "4",
          "--threads", "1",         "--out",         out.string()};
}

Words launch(int ranks, const Words& command) { return Words{"launch", "-n", std::to_string(ranks), "--"} + command; }

/// What the program in a process of its own writes to standard output.
std::string output_of(const Words& words) {
  std::string command = HALFTONE_PROGRAM;
  for (const std::string& word : words) command += " '" + word + "'";
  FILE* const pipe = ::popen(command.c_str(), "r");
  std::string text;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  CHECK(::pclose(pipe) == 0);
  return text;
}

/// Children of a process, by the variable RANK that they were started with.
std::optional<pid_t> rank_of(pid_t launcher, int rank) {
  std::ifstream list("/proc/" + std::to_string(launcher) + "/task/" + std::to_string(launcher) + "/children");
  for (pid_t child = 0; list >> child;) {
    std::ifstream environment("/proc/" + std::to_string(child) + "/environ");
    for (std::string variable; std::getline(environment, variable, '\0');)
      if (variable == "RANK=" + std::to_string(rank)) return child;
  }
  return std::nullopt;
}

/// Waits until rank 0 has kept something, so that all ranks are at work.
void wait_for_work(const fs::path& out) {
  std::error_code ignored;
  for (int i = 0; i < 6000; ++i) {
    const auto size = fs::file_size(out / "journal", ignored);
    if (!ignored && size > 1000) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL("no rank began to work within a minute");
}

}  // namespace

TEST_CASE("quantize, sense and evaluate on several ranks write what one process writes") {
  const TempDir dir;
  REQUIRE(finish(start(quantize(dir / "alone"))) == 0);
  for (const int ranks : {2, 3}) {
    const fs::path out = dir / ("on" + std::to_string(ranks));
    REQUIRE(finish(start(launch(ranks, quantize(out)))) == 0);
    for (const char* file : {"plan.json", "plan-keep-90.json"})
      CHECK(read_text(out / file) == read_text(dir / "alone" / file));
  }
  const auto sense = [&](const std::string& out) {
    return Words{
        "sense",     kModel, "--calibrate", calibration("[0:16]"), "--metric", "interlayer,fisher", "--eval-batch", "4",
        "--threads", "1",    "--out",       (dir / out).string()};
  };
  const auto table = [&](const std::string& out) {
    auto json = nlohmann::json::parse(read_text(dir / out));
    for (auto& entry : json.at("tables")) entry.erase("seconds");
    return json;
  };
  REQUIRE(finish(start(sense("alone.json"))) == 0);
  REQUIRE(finish(start(launch(2, sense("on2.json")))) == 0);
  CHECK(table("on2.json") == table("alone.json"));

  const Words evaluate{"evaluate",  kModel, "--data",      validation("[0:50]"),
                       "--uniform", "4",    "--calibrate", calibration("[0:16]"),
                       "--json"};
  const auto alone = call(evaluate);
  auto figures = nlohmann::json::parse(output_of(launch(2, evaluate)));
  auto expected = nlohmann::json::parse(alone.out);
  for (nlohmann::json* json : {&figures, &expected})
    for (const char* part : {"", "baseline", "float"}) (*part == '\0' ? *json : json->at(part)).erase("seconds");
  CHECK(figures == expected);
}

TEST_CASE("a rank that is killed ends the run with its name, and the same command ends with the same plan") {
  const TempDir dir;
  REQUIRE(finish(start(quantize(dir / "whole", "[0:200]"))) == 0);
  for (const int victim : {1, 0}) {
    const fs::path out = dir / ("victim" + std::to_string(victim));
    const std::string errors = dir / ("errors" + std::to_string(victim));
    const pid_t job = start(launch(2, quantize(out, "[0:200]")), errors);
    wait_for_work(out);
    const auto process = rank_of(job, victim);
    REQUIRE(process);
    const auto before = std::chrono::steady_clock::now();
    ::kill(*process, SIGKILL);
    CHECK(finish(job) == 3);
    CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(30));
    CHECK_THAT(read_text(errors), Contains("rank " + std::to_string(victim) + " of 2 was killed by signal 9"));
    CHECK_FALSE(fs::exists(out / "plan.json"));
    REQUIRE(finish(start(launch(2, quantize(out, "[0:200]")))) == 0);
    CHECK(read_text(out / "plan.json") == read_text(dir / "whole" / "plan.json"));
    CHECK_THAT(read_text(out / "run.json"), Contains("taken from an earlier run"));
  }
}

TEST_CASE("a rank that is killed while all fine-tune is named, and the same command ends with what it would have") {
  const TempDir dir;
  const auto command = [&](const char* out) {
    return launch(2, {"quantize",       kModel,
                      "--calibrate",    calibration("[0:20]"),
                      "--validate",     validation("[0:60]"),
                      "--gate",         "damage:10",
                      "--precisions",   "4,8",
                      "--repairs",      "0",
                      "--latency",      "roofline:a100",
                      "--evaluate",     "simulated",
                      "--train",        calibration("[20:250]"),
                      "--finish-steps", "16",
                      "--threads",      "1",
                      "--out",          (dir / out).string()});
  };
  REQUIRE(finish(start(command("whole"))) == 0);
  REQUIRE(fs::exists(dir / "whole/finished.safetensors"));
  const std::string errors = dir / "errors";
  const pid_t job = start(command("out"), errors);
  wait_for_work(dir / "out");
  for (int i = 0; i < 6000 && read_text(errors).find("finish ") == std::string::npos; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE_THAT(read_text(errors), Contains("finish "));
  const auto process = rank_of(job, 1);
  REQUIRE(process);
  ::kill(*process, SIGKILL);
  CHECK(finish(job) == 3);
  CHECK_THAT(read_text(errors), Contains("rank 1 of 2 was killed by signal 9"));
  CHECK_FALSE(fs::exists(dir / "out/plan.json"));
  CHECK_FALSE(fs::exists(dir / "out/finished.safetensors"));
  REQUIRE(finish(start(command("out"))) == 0);
  for (const char* file : {"plan.json", "finished.safetensors"})
    CHECK(read_text(dir / "out" / file) == read_text(dir / "whole" / file));
}

TEST_CASE("a rank that hangs is named within 30 s by those that wait for it") {
  const TempDir dir;
  const std::string errors = dir / "errors";
  const pid_t job = start(launch(2, quantize(dir / "out", "[0:200]")), errors);
  wait_for_work(dir / "out");
  const auto process = rank_of(job, 1);
  REQUIRE(process);
  const auto before = std::chrono::steady_clock::now();
  ::kill(*process, SIGSTOP);
  CHECK(finish(job) == 3);
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(30));
  CHECK_THAT(read_text(errors), Contains("rank 1 of 2"));
  CHECK_THAT(read_text(errors), Contains("does not answer") || Contains("sign of life"));
}

TEST_CASE("ranks that were given other options or data end with a message that names them") {
  const TempDir dir;
  const auto differ = [&](const Words& first, const Words& second) {
    const std::string errors = dir / "errors";
    fs::remove(errors);
    const std::string port = "MASTER_PORT=" + std::to_string(free_port());
    const pid_t rank0 = start(first, errors, {"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", port});
    const pid_t rank1 = start(second, errors, {"RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", port});
    CHECK(finish(rank0) == 2);
    CHECK(finish(rank1) == 2);
    return read_text(errors);
  };
  CHECK_THAT(differ(quantize(dir / "out"), quantize(dir / "out") + Words{"--seed", "7"}),
             Contains("ranks differ in their options"));
  CHECK_THAT(differ(quantize(dir / "out"), quantize(dir / "out", "[1:49]")),
             Contains("ranks differ in the validation data"));
}
