#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "example_run.hpp"
#include "failure.hpp"
#include "halftone/core/file.hpp"
#include "halftone/plan/plan_file.hpp"
#include "halftone/report/html_report.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using nlohmann::json;

TEST_CASE("run.json has the documented names") {
  const json run = to_run_json(example_run());
  CHECK(run["version"] == 1);
  CHECK(run["status"] == "met");
  CHECK(run["keep"] == 0.999);
  CHECK(run["gate"] == "point");
  for (const char* part : {"baseline", "result"}) {
    CAPTURE(part);
    for (const char* name : {"score", "score_count", "samples", "damage", "interval", "latency_ms"})
      CHECK(run[part].contains(name));
    for (const char* name :
         {"predicted", "measured", "spread", "engine", "threads", "batch", "model", "origin", "unit"})
      CHECK(run[part]["latency_ms"].contains(name));
  }
  CHECK(run["result"]["score"] == 4589.0 / 4600);
  CHECK(run["result"]["score_count"] == 4589);
  CHECK(run["result"]["interval"].size() == 2);
  CHECK(run["result"]["interval"][1] == 4589.0 / 4592 + 0.0005);
  CHECK(run["float"]["score_count"] == 4595);
  CHECK(run["report"]["score_count"] == 4590);
  CHECK(run["report"]["baseline"]["score_count"] == 4592);
  CHECK(run["plan"] == json{{"conv1", "8"}, {"layer1.0.conv2", "4"}, {"fc", "8"}});
  CHECK(run["passes"] == json{{"forward", 9}, {"backward", 0}});
  CHECK(run["seconds"] == json{{"calibrate", 0.5}, {"search", 4.5}});
  CHECK(run["data"]["validation"] == json{{"name", "cifar10:test.bin[0:4600]"}, {"digest", "v"}, {"samples", 4600}});
  CHECK(run["sensitivity"]["scores"]["fc"]["4"] == 0.03);
  CHECK(run["options"]["precisions"] == json{"16", "8", "4"});
  CHECK(run["options"]["order"] == "gain");
  CHECK(run["options"]["seed"] == 0);
  CHECK(run["environment"]["libtorch"] == "2.13.0");
  CHECK(run["sites"][2]["kind"] == "linear");
  CHECK(run["sites"][1]["input_shape"] == json{1, 3, 8, 8});
}

TEST_CASE("run.json has every evaluation") {
  const json evaluations = to_run_json(example_run())["evaluations"];
  REQUIRE(evaluations.size() == 3);
  CHECK(evaluations[1]["plan_digest"] == "digest of 4500");
  CHECK(evaluations[1]["score"] == 4500.0 / 4600);
  CHECK(evaluations[1]["damage"] == 92 * 1e-3);
  CHECK(evaluations[1]["samples_scored"] == 4600);
  CHECK(evaluations[1]["passed"] == false);
  CHECK(evaluations[1]["seconds"] == 1.5);
  CHECK(evaluations[1]["decision"] == "2 lose too much: try 1");
  CHECK(evaluations[1]["plan"] == "4 4 8");
  CHECK(evaluations[1]["sites_at"] == json{{"4", 2}, {"8", 1}});
}

TEST_CASE("nothing in run.json can be taken for a measured latency") {
  const json latency = to_run_json(example_run())["result"]["latency_ms"];
  CHECK(latency["predicted"] == 0.5);
  CHECK(latency["unit"] == "ms");
  CHECK(latency["model"] == "roofline:a100");
  CHECK_THAT(latency["origin"].get<std::string>(), Catch::Contains("not measured"));
  for (const char* name : {"measured", "spread", "engine", "threads"}) CHECK(latency[name].is_null());
}

TEST_CASE("what is not known is null in run.json") {
  RunResult run = example_run();
  run.status = RunStatus::Stopped;
  run.report_data.reset();
  run.result.report.reset();
  run.baseline = {.evaluation = {}, .predicted_latency = 1};
  run.result = {};
  run.sensitivity = {};
  run.steps.clear();
  run.site_saving.clear();
  const json written = to_run_json(run);
  CHECK(written["status"] == "stopped");
  CHECK(written["report"].is_null());
  CHECK(written["data"]["report"].is_null());
  CHECK(written["baseline"]["score"].is_null());
  CHECK(written["baseline"]["interval"].is_null());
  CHECK(written["baseline"]["samples"] == 0);
  CHECK(written["result"]["latency_ms"]["predicted"].is_null());
  CHECK(written["sensitivity"].is_null());
  CHECK(written["evaluations"].empty());
}

TEST_CASE("a run is written as a plan that can be applied, its figures and its report") {
  const TempDir dir;
  const RunResult run = example_run();
  write_run(run, (dir / "new/folder").string());
  const auto written = json::parse(read_text(dir / "new/folder/run.json"));
  CHECK(written == to_run_json(run));
  CHECK(read_text(dir / "new/folder/report.txt") == text_report(run));
  CHECK(read_text(dir / "new/folder/report.html") == html_report(run));
  const PlanFile plan = read_plan_file(dir / "new/folder/plan.json");
  CHECK(apply_plan_file(plan, run.sites, run.model_digest).plan == run.plan);
  CHECK(std::distance(std::filesystem::directory_iterator(dir / "new/folder"), {}) == 4);
}

TEST_CASE("a run that cannot be written leaves nothing behind") {
  const TempDir dir;
  const auto file = dir.write("file", "x");
  CHECK(failure([&] { write_run(example_run(), (file / "below").string()); }).code == Errc::Io);
  RunResult broken = example_run();
  broken.calibration.sites.pop_back();
  CHECK(failure([&] { write_run(broken, (dir / "out").string()); }).code == Errc::InvalidArgument);
  CHECK(dir.count() == 1);
}

TEST_CASE("names that are not UTF-8 do not keep a run from being written") {
  const TempDir dir;
  RunResult run = example_run();
  run.calibration_data.name = "caf\xe9.bin";
  write_run(run, dir.path().string());
  CHECK_NOTHROW(json::parse(read_text(dir / "run.json")));
}
