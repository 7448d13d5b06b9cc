#include <nlohmann/json.hpp>

#include <filesystem>

#include "catch.hpp"
#include "cli/call.hpp"
#include "halftone/core/file.hpp"
#include "report/large_run.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

TEST_CASE("report makes the page again, and text and Markdown") {
  const TempDir dir;
  write_run(large_run(4), dir.path().string());
  const std::string page = read_text(dir / "report.html");
  std::filesystem::remove(dir / "report.html");
  const Outcome made = call({"report", dir.path().string()});
  CHECK(made.code == 0);
  CHECK_THAT(made.out, Catch::StartsWith("Written: "));
  CHECK(read_text(dir / "report.html") == page);
  CHECK(call({"report", (dir / "run.json").string(), "--format", "text"}).out == text_report(large_run(4)));
  CHECK_THAT(call({"report", (dir / "run.json").string(), "--format", "markdown"}).out, Contains("| --- | ---: |"));
  const Outcome elsewhere =
      call({"report", dir.path().string(), "--format", "markdown", "--json", "--out", (dir / "report.md").string()});
  CHECK(json::parse(elsewhere.out)["out"] == (dir / "report.md").string());
  CHECK_THAT(read_text(dir / "report.md"), Catch::StartsWith("## Halftone: net:weights.safetensors"));
}

TEST_CASE("report says what keeps it from one") {
  const TempDir dir;
  dir.write("run.json", "{\"version\": 1");
  const Outcome cut = call({"report", dir.path().string()});
  CHECK(cut.code == 2);
  CHECK_THAT(cut.err, Contains("run.json\" is cut short"));
  CHECK(call({"report", (dir / "none").string()}).code == 2);
  write_run(example_run(), dir.path().string());
  CHECK_THAT(call({"report", dir.path().string(), "--format", "pdf"}).err,
             Contains("--format is \"pdf\": html, text or markdown is needed"));
  CHECK(call({"report", dir.path().string(), "--out", dir.path().string()}).code == 2);
}

TEST_CASE("compare puts runs side by side") {
  const TempDir dir;
  RunResult other = example_run();
  other.plan[1] = k8;
  write_run(example_run(), (dir / "a").string());
  write_run(other, (dir / "b").string());
  const Outcome compared = call({"compare", (dir / "a").string(), (dir / "b/run.json").string()});
  CHECK(compared.code == 0);
  CHECK_THAT(compared.out, Contains("Bits where plans differ: 1 of 3 sites"));
  const Outcome printed = call({"compare", (dir / "a").string(), (dir / "b").string(), "--json"});
  CHECK(json::parse(printed.out)["sites_that_differ"][0] ==
        json{{"name", "layer1.0.conv2"}, {"precisions", {"4", "8"}}});
  CHECK_THAT(call({"compare", (dir / "a").string()}).err, Contains("give two or more"));
  CHECK(call({"compare", (dir / "a").string()}).code == 2);
}
