// run.json read back.
#include "halftone/report/run_file.hpp"

#include <nlohmann/json.hpp>

#include <random>

#include "catch.hpp"
#include "failure.hpp"
#include "flat.hpp"
#include "halftone/core/file.hpp"
#include "halftone/plan/plan_file.hpp"
#include "halftone/report/html_report.hpp"
#include "halftone/report/markdown_report.hpp"
#include "large_run.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

RunResult stopped_run() {
  RunResult run = measured_run();
  run.status = RunStatus::Stopped;
  run.stop_reason = "after 60 s";
  run.plan = Plan::uniform(3, k16);
  run.float_score = run.baseline.evaluation = run.result.evaluation = {};
  run.baseline.report.reset();
  run.result = {};
  run.measured.reset();
  run.other_score.reset();
  run.sensitivity = {};
  run.steps.clear();
  run.site_saving.clear();
  run.uniform_latency.clear();
  run.report_data.reset();
  return run;
}

/// One that has something in every field.
RunResult full_run() {
  RunResult run = large_run(5);
  run.gate = {.kind = GateKind::Damage, .budget = 0.03};
  run.looser[0].gate = {.keep = 0.98, .kind = GateKind::Confidence};
  run.model_options = {{"mean", "0.5"},      {"resize", "256"},           {"crop", "224"},       {"rename", "^a=b"},
                       {"max_tokens", "64"}, {"vocabulary", "vocab.txt"}, {"additions", "true"}, {"state_dict", "ema"}};
  run.limits = {.most_evaluations = 20, .most_seconds = 60.5, .repairs = 3};
  run.sensitivity_file = "sensitivity.json";
  run.rules = {{{RuleKind::Together, "(.*)[.]conv."}, {{0, 2}, {1, 3}}}, {{RuleKind::AtLeast, "fc", k8}, {{4}}}};
  run.sensitivity.clamped = {{.site = 1, .precision = k4, .given = -0.5},
                             {.site = 2, .precision = k8, .given = std::numeric_limits<double>::infinity()}};
  run.range_weight = "auto";
  run.unsearched = "the budget was spent on looser targets";
  run.weight_methods = {{.bits = 4,
                         .precision = k4,
                         .chosen = RangeMethod::MeanSquaredError,
                         .trials = {{RangeMethod::Max, 0.5}, {RangeMethod::MeanSquaredError, 0.25}},
                         .samples = 256}};
  run.adjustments = {{.plan = "all 5 sites at 4 bits",
                      .damage_before = 0.5,
                      .damage_after = 0.4,
                      .held_out = 50,
                      .trained_on = 200,
                      .bounds = 12,
                      .steps = 100,
                      .step_kept = 50,
                      .checks = {{.step = 50, .training = 0.45, .held_out = 0.4}},
                      .forward_passes = 3.5,
                      .backward_passes = 2,
                      .seconds = 1.5}};
  run.seed = std::numeric_limits<std::uint64_t>::max();
  run.sites[1].kind = SiteKind::Addition;
  run.sites[1].weight_shape.clear();
  return run;
}

RunResult latency_run() {
  RunResult run = example_run();
  run.latency_target = LatencyTarget{.change = -0.3};
  run.status = RunStatus::Missed;
  run.result.evaluation.unscored = 100;
  run.result.evaluation.interval = {};
  return run;
}

/// A run with fewer turns than an interval needs.
RunResult hasty_run() {
  RunResult run = measured_run();
  for (Timing* timing : {&run.measured->baseline, &run.measured->plan, &run.measured->uniform["8"],
                         &run.measured->uniform["4"], &run.measured->uniform["16"]}) {
    timing->samples.resize(3);
    timing->low = -std::numeric_limits<double>::infinity();
    timing->high = std::numeric_limits<double>::infinity();
  }
  return run;
}

std::string written(const RunResult& run) { return to_run_json(run).dump(1); }

/// What `parse_run_json` says of `run` with the member at `pointer` replaced.
std::string complaint(const char* pointer, const json& value) {
  json run = to_run_json(full_run());
  run[json::json_pointer(pointer)] = value;
  const auto failed = failure([&] { parse_run_json(run.dump()); });
  CHECK(failed.code == Errc::BadFile);
  return failed.text;
}

}  // namespace

TEST_CASE("run.json that is read and written again is the same") {
  for (const RunResult& run :
       {example_run(), measured_run(), stopped_run(), full_run(), latency_run(), hasty_run(), large_run(20)}) {
    const std::string text = written(run);
    const RunResult read = parse_run_json(text);
    CHECK(written(read) == text);
    CHECK(text_report(read) == text_report(run));
    CHECK(markdown_report(read) == markdown_report(run));
    CHECK(html_report(read) == html_report(run));
  }
}

TEST_CASE("a run is read from its folder") {
  const TempDir dir;
  write_run(measured_run(), dir.path().string());
  CHECK(written(read_run(dir.path())) == written(measured_run()));
  CHECK(written(read_run(dir / "run.json")) == written(measured_run()));
  CHECK(failure([&] { read_run(dir / "none.json"); }).code == Errc::NotFound);
  CHECK_THAT(failure([&] { read_run(dir / "plan.json"); }).text,
             Contains("plan.json\" is no run.json, which says what a run found out"));
}

TEST_CASE("fields that earlier versions lack are not needed") {
  json run = to_run_json(measured_run());
  for (const char* name : {"targets", "frontier", "latency_target", "stop_reason", "engine", "ranges"}) run.erase(name);
  for (const char* name : {"gates", "order", "sensitivity", "most_evaluations", "most_seconds", "repairs"})
    run["options"].erase(name);
  for (auto& timing : run["measured"]["uniform"]) timing.erase("turns");
  for (const char* name : {"baseline", "plan"}) run["measured"][name].erase("turns");
  const RunResult read = parse_run_json(run.dump());
  CHECK(read.engine->full_name() == "openvino 2026.4.1");
  CHECK(read.steps.size() == 3);
  CHECK_THAT(flat(text_report(read)), Contains("plan 0.5 ms 0.98 ms 1 ms -50.0 % ####"));
}

TEST_CASE("what is wrong with a run.json is said with its place") {
  CHECK(complaint("/version", 2) == "run.json.version is 2: this program reads version 1");
  CHECK(complaint("/status", "done") == "run.json.status is \"done\": one of these is needed: met, missed, stopped");
  CHECK(complaint("/targets/0/gate", 1) == "run.json.targets[0].gate is 1: a text is needed");
  CHECK(complaint("/targets/0/keep", 2) == "run.json.targets[0].keep is 2: a number of at most 1 is needed");
  CHECK(complaint("/budget", 0) == "run.json.budget is 0: a positive number is needed");
  CHECK(complaint("/result/interval", json{1, 2, 3}) ==
        "run.json.result.interval is an array: two numbers are needed, there are 3");
  CHECK_THAT(complaint("/evaluations/0/plan", "8 8"),
             Contains("one precision for each of the 5 sites is needed, there are 2"));
  CHECK_THAT(complaint("/evaluations/0/plan", "8 9 8 8 8"), Contains("\"9\" is no precision"));
  CHECK_THAT(complaint("/evaluations/0/samples_scored", 99999), Contains("an integer of at most 4600 is needed"));
  CHECK_THAT(complaint("/sites/1/name", "layer1.0.conv1"), Contains("sites[1].name") && Contains("it is listed twice"));
  CHECK_THAT(complaint("/plan", json::object()), Contains("run.json.plan has no \"layer1.0.conv1\""));
  CHECK_THAT(complaint("/sensitivity/scores/other", json::object()), Contains("scores of sites that are not there"));
  CHECK_THAT(complaint("/measured/plan/turns", json{0}), Contains("measured.plan.turns[0] is 0: a positive number"));
  CHECK(complaint("/result/score", 7.3) == "run.json.result.score is 7.3: a number of at most 1 is needed");
  CHECK_THAT(complaint("/float/score", -0.1), Contains("float.score is -0.1: a number of at least 0 is needed"));
  CHECK_THAT(complaint("/evaluations/0/score_count", 4601),
             Contains("evaluations[0].score_count is 4601: a number of at most 4600 is needed"));
  CHECK_THAT(complaint("/targets/0/result/score", 2), Contains("targets[0].result.score is 2: a number of at most 1"));
  CHECK_THAT(complaint("/evaluations/0/latency", -1), Contains("evaluations[0].latency is -1: a number of at least 0"));
  CHECK_THAT(complaint("/uniform_latency/8", -1), Contains("uniform_latency.8 is -1: a number of at least 0"));
  CHECK_THAT(complaint("/ranges/adjustments/0/step_kept", 101),
             Contains("step_kept is 101: an integer of at most 100"));
  CHECK_THAT(complaint("/options/seed", -1), Contains("options.seed is -1: an integer of at least 0"));
  CHECK(failure([] { parse_run_json("[]"); }).text == "run.json is an array: an object is needed");
  CHECK(failure([] { parse_run_json("{}"); }).text == "run.json has no \"version\"");
}

TEST_CASE("no damaged run.json does more harm than to be refused") {
  const std::string whole = written(full_run());
  std::mt19937 random(7);
  const auto draw = [&](std::size_t below) { return static_cast<std::size_t>(random()) % below; };
  const std::string pieces[] = {"null", "-1", "1e308", "\"x\"", "[]", "{}", "0", "true", "99999999999999999999"};
  int refused = 0;
  for (int trial = 0; trial < 400; ++trial) {
    std::string text = whole;
    if (trial % 4 == 0) {
      text.resize(draw(text.size()));
    } else if (trial % 4 == 1) {
      text[draw(text.size())] = static_cast<char>(draw(256));
    } else {
      // In place of what stands behind some colon.
      auto begin = text.find(": ", draw(text.size()));
      if (begin == std::string::npos) begin = text.find(": ");
      const auto end = text.find_first_of(",\n", begin);
      text.replace(begin + 2, end - begin - 2, pieces[draw(std::size(pieces))]);
    }
    CAPTURE(trial);
    try {
      const RunResult run = parse_run_json(text);
      CHECK_FALSE(text_report(run).empty());
      CHECK_FALSE(markdown_report(run).empty());
      CHECK_FALSE(html_report(run).empty());
    } catch (const Error& error) {
      CHECK(error.code() == Errc::BadFile);
      ++refused;
    }
  }
  CHECK(refused > 200);
}

TEST_CASE("a plan file for each looser target stands beside plan.json, and goes with its target") {
  const TempDir dir;
  RunResult run = large_run(4);
  run.looser[0].gate = {.keep = 0.95};
  run.looser.push_back(run.looser[0]);
  run.looser[1].gate = {.keep = 0.995, .kind = GateKind::Confidence};
  write_run(run, dir.path().string());
  CHECK(apply_precisions(read_plan_file(dir / "plan-keep-95.json"), run.sites, run.model_digest) == run.looser[0].plan);
  CHECK(std::filesystem::exists(dir / "plan-confidence-99.5.json"));
  const json targets = json::parse(read_text(dir / "run.json"))["targets"];
  CHECK(targets[0]["plan_file"] == "plan-keep-95.json");
  CHECK(targets[2]["plan_file"] == "plan.json");
  dir.write("plan-keep-42.json", "my own");
  run.looser = {run.looser[1]};
  run.looser[0].gate = {.kind = GateKind::Damage, .budget = 0.1};
  write_run(run, dir.path().string());
  CHECK_FALSE(std::filesystem::exists(dir / "plan-keep-95.json"));
  CHECK_FALSE(std::filesystem::exists(dir / "plan-confidence-99.5.json"));
  CHECK(std::filesystem::exists(dir / "plan-damage-0.1.json"));
  CHECK(std::filesystem::exists(dir / "plan-keep-42.json"));
}

TEST_CASE("stages keep the order in which they ran") {
  RunResult run = example_run();
  run.seconds = {{"read", 1}, {"calibrate", 2}, {"baseline", 3}, {"adjust", 4}};
  json written = to_run_json(run);
  CHECK_THAT(text_report(parse_run_json(written.dump())),
             Contains("read 1.0, calibrate 2.0, baseline 3.0, adjust 4.0"));
  written.erase("stages");
  CHECK_THAT(text_report(parse_run_json(written.dump())), Contains("adjust 4.0, baseline 3.0"));
  written["stages"] = {"read"};
  CHECK_THAT(failure([&] { (void)parse_run_json(written.dump()); }).text,
             Contains("seconds.adjust is 4.0: it is no stage that \"stages\" lists"));
}
