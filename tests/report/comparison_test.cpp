#include "report/comparison.hpp"

#include <nlohmann/json.hpp>

#include <sstream>

#include "catch.hpp"
#include "flat.hpp"
#include "large_run.hpp"
#include "report/text.hpp"

using namespace halftone;
using namespace halftone::internal;
using Catch::Contains;
using nlohmann::json;

TEST_CASE("runs of one kind stand side by side, with the sites at which their plans differ") {
  std::vector<NamedRun> runs{{"a", measured_run()}, {"b", measured_run()}};
  CHECK(obstacles(runs).empty());
  CHECK_THAT(comparison_text(runs), Contains("The plans are the same at every site."));
  runs[1].run.plan[1] = k8;
  CHECK(differing_sites(runs) == std::vector<std::size_t>{1});
  const std::string text = flat(comparison_text(runs));
  CHECK_THAT(text, Contains("1 99.9 % met 99.93 % 99.88 to 99.98 % 0.003 1 at 4, 2 at 8"));
  CHECK_THAT(text,
             Contains("1 99.9 % predicted 0.5 ms -50.0 % 1 ms -50.0 % openvino 2026.4.1, bf16, batch 1, 2 threads"));
  CHECK_THAT(text, Contains("1 2.5 KiB -58.3 % 3 13,800 5.0 2 bisection on gain by error"));
  CHECK_THAT(text, Contains("Bits where plans differ: 1 of 3 sites site run 1 run 2 layer1.0.conv2 4 8"));
}

TEST_CASE("what does not compare is said") {
  std::vector<NamedRun> runs{{"a", measured_run()}, {"b", measured_run()}};
  runs[1].run.measured->batch = 8;
  REQUIRE(obstacles(runs).size() == 1);
  CHECK(obstacles(runs)[0] ==
        "Measured latency does not compare: the runs differ in engine, batch or threads (openvino 2026.4.1, bf16, "
        "batch 1, "
        "2 threads; openvino 2026.4.1, bf16, batch 8, 2 threads).");
  runs[1].run = measured_run();
  runs[1].run.validation_data.digest = "other";
  REQUIRE(obstacles(runs).size() == 1);
  CHECK_THAT(obstacles(runs)[0],
             Catch::StartsWith("Quality does not compare: the runs differ in their validation data"));
  runs[1].run = large_run(20);
  runs[1].run.model_digest = "another";
  CHECK_THAT(obstacles(runs)[0], Catch::StartsWith("Nothing here compares: the runs differ in their model"));
  CHECK(differing_sites(runs).empty());
  runs[1].run.model_digest = runs[0].run.model_digest;
  CHECK_THAT(comparison_text(runs), !Contains("The plans are the same"));
  runs[1].run.model_digest = "another";
  CHECK_THAT(comparison_text(runs), Contains("! Nothing here compares") && !Contains("Bits where plans differ"));
}

TEST_CASE("all targets are compared, and what is not known is no zero") {
  RunResult stopped = example_run();
  stopped.baseline = stopped.result = {};
  const std::vector<NamedRun> runs{{"a", large_run(20)}, {"b", stopped}};
  const std::string text = flat(comparison_text(runs));
  CHECK_THAT(text,
             Contains("1 98 % met 97.08 %") && Contains("1 99.9 % met 99.93 %") && Contains("2 99.9 % met - - -"));
  const json compared = comparison_json(runs);
  CHECK(compared["runs"][0]["targets"].size() == 2);
  CHECK(compared["runs"][0]["targets"][1]["latency"]["measured_ms"] == 0.98);
  CHECK(compared["runs"][1]["targets"][0]["figures"]["score"].is_null());
  CHECK(compared["runs"][1]["measured_in"].is_null());
}

TEST_CASE("a comparison fits into 100 columns") {
  RunResult run = large_run(20);
  run.model = std::string(150, 'm');
  std::vector<NamedRun> runs{{std::string(200, 'n'), run}, {"b", large_run(20)}, {"c", example_run()}};
  runs[1].run.plan[1] = k16;
  std::istringstream lines(comparison_text(runs));
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK((columns(line) <= kTextWidth || line.find(' ', 30) == line.npos ||
           line.find(std::string(150, 'm')) != line.npos));
  }
}
