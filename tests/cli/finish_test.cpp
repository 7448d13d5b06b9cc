// Fine-tuning from the command line, and what is done with what it writes.
#include <nlohmann/json.hpp>

#include <filesystem>

#include "catch.hpp"
#include "cli/call.hpp"
#include "halftone/core/file.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// Under a damage gate, so that damage decides: the score of 60 images is a matter of luck.
Words quantize(const fs::path& out) {
  return {"quantize",       kModel,
          "--calibrate",    calibration("[0:20]"),
          "--validate",     validation("[0:60]"),
          "--threads",      "1",
          "--latency",      "roofline:a100",
          "--evaluate",     "simulated",
          "--precisions",   "4,16",
          "--gate",         "damage:10",
          "--repairs",      "0",
          "--train",        calibration("[20:250]"),
          "--finish-steps", "6",
          "--json",         "--out",
          out.string()};
}

}  // namespace

TEST_CASE("what fine-tuning wrote is scored again and exported with the weights beside the plan") {
  const TempDir dir;
  const auto made = call(quantize(dir / "out"));
  REQUIRE(made.code == 0);
  const json run = json::parse(made.out);
  const json& finishing = run["finishing"];
  REQUIRE(finishing["kept"] == true);
  CHECK(finishing["steps"] == 6);
  CHECK(finishing["tensors"] == 40);
  CHECK(finishing["damage_after"] < finishing["damage_before"]);
  CHECK(run["data"]["training"]["samples"] == 230);
  REQUIRE(fs::exists(dir / "out/finished.safetensors"));

  const std::string plan = (dir / "out/plan.json").string();
  const std::string weights = (dir / "out/finished.safetensors").string();
  const Words evaluate{"evaluate", kModel, "--data", validation("[0:60]"), "--json", "--threads", "1", "--plan", plan};
  const auto evaluated = call(evaluate + Words{"--finished", weights});
  REQUIRE(evaluated.code == 0);
  const json again = json::parse(evaluated.out);
  for (const char* name : {"score", "score_count", "damage", "interval"}) {
    CAPTURE(name);
    CHECK(again[name] == run["result"][name]);
    CHECK(again["baseline"][name] == run["baseline"][name]);
    CHECK(again["float"][name] == run["float"][name]);
  }
  CHECK_THAT(again["evaluated"].get<std::string>(), Contains("fine-tuned"));

  const auto without = call(evaluate);
  CHECK(without.code == 2);
  CHECK_THAT(without.err, Contains("give --finished FILE"));

  const auto exported =
      call({"export", kModel, "--plan", plan, "--finished", weights, "--out", (dir / "a.onnx").string()});
  CHECK(exported.code == 0);
  CHECK(fs::file_size(dir / "a.onnx") > 100'000);
  CHECK(call({"export", kModel, "--plan", plan, "--out", (dir / "b.onnx").string()}).code == 2);

  // Weights of another run are not those of this plan.
  REQUIRE(call(quantize(dir / "other") + Words{"--seed", "1"}).code == 0);
  const auto mixed = call(evaluate + Words{"--finished", (dir / "other/finished.safetensors").string()});
  CHECK(mixed.code == 2);
  CHECK_THAT(mixed.err, Contains("are not those that plan"));
}

TEST_CASE("weights of an earlier run go where a new one has none") {
  const TempDir dir;
  dir.write("finished.safetensors", "left");
  auto words = quantize(dir / ".");
  const auto train = std::find(words.begin(), words.end(), "--train");
  words.erase(train, train + 4);
  const auto made = call(words);
  CHECK(made.code == 0);
  CHECK_FALSE(fs::exists(dir / "finished.safetensors"));
  const Words evaluate{"evaluate", kModel, "--data", validation("[0:10]"), "--plan", (dir / "plan.json").string()};
  const auto refused = call(evaluate + Words{"--finished", "any"});
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("was made for the model's own weights"));
}

TEST_CASE("options of fine-tuning that make no sense are refused before any work") {
  const TempDir dir;
  const auto with = [&](const char* option, const char* value) {
    return call(quantize(dir / "out") + Words{option, value});
  };
  CHECK_THAT(with("--finish-labels", "2").err, Contains("label_share is 2"));
  CHECK_THAT(with("--finish-rate", "-1").err, Contains("weight_rate is -1"));
  CHECK(with("--finish-steps", "0").code == 2);
  CHECK_FALSE(fs::exists(dir / "out"));
  const auto alone = call({"evaluate", kModel, "--data", validation("[0:10]"), "--uniform", "16", "--finished", "f"});
  CHECK(alone.code == 2);
  CHECK_THAT(alone.err, Contains("give --plan beside it"));
}
