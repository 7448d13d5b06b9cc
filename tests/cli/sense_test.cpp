#include <nlohmann/json.hpp>

#include <csignal>
#include <sstream>
#include <tuple>
#include <utility>

#include "catch.hpp"
#include "cli/call.hpp"
#include "halftone/core/file.hpp"
#include "report/flat.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

Words sense(const std::string& metrics, const Words& more = {}) {
  return Words{"sense",   kModel,         "--calibrate", calibration("[0:8]"), "--metric", metrics,
               "--quiet", "--eval-batch", "4",           "--threads",          "1"} +
         more;
}

Words quantize(const std::string& out, const Words& more) {
  return Words{"quantize",  kModel, "--calibrate", calibration("[0:8]"), "--validate", validation("[0:30]"),
               "--latency", "size", "--evaluate",  "simulated",          "--threads",  "1",
               "--out",     out} +
         more;
}

std::size_t longest_line(const std::string& text) {
  std::istringstream lines(text);
  std::size_t longest = 0;
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
  return longest;
}

/// Metrics with long names and standard errors, and one whose scores must be clamped.
struct Odd final : SensitivityMetric {
  explicit Odd(std::string name) : name_(std::move(name)) {}
  [[nodiscard]] std::string name() const override { return name_; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    SensitivityTable table;
    for (std::size_t site = 0; site < input.model.sites.size(); ++site) {
      table.scores.emplace_back();
      table.standard_errors.emplace_back();
      for (const Precision p : input.precisions) {
        table.scores.back()[p] = site == 2 ? -1 : 1.23456e-5 * static_cast<double>(site + 1);
        table.standard_errors.back()[p] = 4.321e-7;
      }
    }
    return table;
  }
  std::string name_;
};

Registry odd_registry() {
  Registry registry = default_registry();
  for (const char* name : {"a-metric-of-a-long-name", "another-such-metric", "third-of-the-long-names"})
    registry.metrics[name] = [name] { return std::make_shared<const Odd>(name); };
  return registry;
}

}  // namespace

TEST_CASE("sense shows sites by metric and precision, what it cost, and how metrics agree") {
  const auto sensed = call(sense("error,damage"));
  REQUIRE(sensed.code == 0);
  CHECK_THAT(flat(sensed.out), Contains("sensitivity of 20 sites on 8 samples of cifar10:") &&
                                   Contains("layer2.0.conv1") && Contains("error at 8") && Contains("damage at 4") &&
                                   Contains("+- ") && Contains("forward passes") && Contains("Rank correlations") &&
                                   Contains("at 8 bits"));
  CHECK(longest_line(sensed.out) <= 100);
  CHECK(sensed.err.empty());
  const auto single = call(sense("error", {"--precisions", "6"}));
  CHECK(single.code == 0);
  CHECK_THAT(single.out, Contains("error at 6") && !Contains("Rank correlations"));
}

TEST_CASE("a table that is too wide shows the lowest precision, then fewer metrics, and says so") {
  const Registry registry = odd_registry();
  const std::string all = "a-metric-of-a-long-name,another-such-metric,third-of-the-long-names";
  const auto wide = call(sense("a-metric-of-a-long-name,another-such-metric"), registry);
  REQUIRE(wide.code == 0);
  CHECK(longest_line(wide.out) <= 100);
  CHECK_THAT(flat(wide.out), Contains("Only the lowest precision, 4, fits here.") &&
                                 Contains("another-such-metric at 4") && !Contains("name at 8") &&
                                 Contains("0* +- 4.3e-07") && Contains("*: the metric gave"));
  const auto wider = call(sense(all + ",error,damage,interlayer"), registry);
  REQUIRE(wider.code == 0);
  CHECK(longest_line(wider.out) <= 100);
  CHECK_THAT(flat(wider.out), Contains("Standard errors are left out.") && Contains("of 6 metrics fit") &&
                                  Contains("--json and --out have all."));
}

TEST_CASE("sensitivity.json has the tables, what they were made from, and is what --json prints") {
  const TempDir dir;
  const std::string out = (dir / "s.json").string();
  const auto sensed = call(sense("error,interlayer", {"--out", out, "--json", "--data", validation("[0:6]"), "--seed",
                                                      "18446744073709551615", "--precisions", "4,16,w4a8"}));
  REQUIRE(sensed.code == 0);
  json printed = json::parse(sensed.out);
  const json written = json::parse(read_text(out));
  CHECK(dir.count() == 1);
  REQUIRE(printed["rank_correlations"]["4"].size() == 2);
  CHECK(printed["rank_correlations"]["w4a8"][0][0] == 1);
  CHECK(printed["rank_correlations"]["4"][0][1] == printed["rank_correlations"]["4"][1][0]);
  printed.erase("rank_correlations");
  CHECK(printed == written);
  CHECK(written["precisions"] == json{"w4a8", "4"});
  CHECK(written["sites"].size() == 20);
  CHECK(written["seed"] == 18446744073709551615U);
  CHECK(written["data"]["samples"] == 6);
  CHECK(written["calibration"]["samples"] == 8);
  CHECK(written["calibration"]["digest"] != written["data"]["digest"]);
  CHECK(written["tables"][0]["metric"] == "error");
  CHECK_FALSE(written["tables"][0].contains("pairs"));
  CHECK(written["tables"][1]["pairs"]["values"].size() == 1600);
}

TEST_CASE("quantize takes sensitivities from a file, and comes to the same") {
  const TempDir dir;
  const std::string file = (dir / "s.json").string();
  REQUIRE(call(sense("error,interlayer", {"--out", file})).code == 0);
  const auto measured = call(quantize((dir / "a").string(), {"--metric", "interlayer", "--eval-batch", "4", "--json"}));
  const auto known = call(
      quantize((dir / "b").string(), {"--metric", "interlayer", "--eval-batch", "4", "--json", "--sensitivity", file}));
  REQUIRE(measured.code == known.code);
  const json a = json::parse(measured.out);
  const json b = json::parse(known.out);
  CHECK(a["plan"] == b["plan"]);
  CHECK(a["sensitivity"]["scores"] == b["sensitivity"]["scores"]);
  CHECK(a["sensitivity"]["pairs"] == b["sensitivity"]["pairs"]);
  CHECK(b["sensitivity"]["forward_passes"] == 0);
  CHECK(a["options"]["sensitivity"].is_null());
  CHECK(b["options"]["sensitivity"] == file);
  CHECK(b["options"]["order"] == "nested");
  CHECK(b["options"]["metric"] == "interlayer");
  CHECK_THAT(read_text(dir / "b/report.txt"), Contains("on the order nested by interlayer"));
}

TEST_CASE("sensitivities that do not fit are refused before any work") {
  const TempDir dir;
  const std::string file = (dir / "s.json").string();
  REQUIRE(call(sense("error,damage", {"--out", file})).code == 0);
  const auto text = dir.write("text.json", "x");
  const std::string out = (dir / "out").string();
  const auto given = [&](const Words& more) { return quantize(out, Words{"--sensitivity", file} + more); };
  Words other = given({"--metric", "error"});
  other[1] = "cifar_resnet32:" + kAssets + "/cifar_resnet20.safetensors";
  const std::vector<std::tuple<std::string, Words, std::string>> cases{
      {"task", given({"--metric", "error", "--task", "top5"}), "they are of task top1, and this one is top5"},
      {"no metric", given({}), "are of several metrics, choose one with --metric: error, damage"},
      {"metric", given({"--metric", "noise"}), "there are none by metric \"noise\", only by error, damage"},
      {"precision", given({"--metric", "error", "--precisions", "16,6"}), "precision 6 is not among theirs, 8,4"},
      {"sites", given({"--metric", "error", "--additions"}), "is --additions or --products the difference?"},
      {"pairs", given({"--metric", "error", "--order", "nested"}), "--order nested needs"},
      {"no file", quantize(out, {"--sensitivity", "none.json"}), "none.json"},
      {"no JSON", quantize(out, {"--sensitivity", text.string()}), "not JSON"},
  };
  for (const auto& [what, words, expected] : cases) {
    CAPTURE(what);
    const auto refused = call(words);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Contains(expected));
    CHECK(dir.count() == 2);
  }
}

TEST_CASE("what is wrong with a sense command is said before any work") {
  const TempDir dir;
  Words random = sense("error");
  random[1] = "cifar_resnet20:random";
  const auto text = dir.write("text.txt", "x");
  const std::vector<std::tuple<std::string, Words, std::string>> cases{
      {"metric", sense("magic"), "there is no metric \"magic\": choose from damage, error"},
      {"empty metric", sense("error,"), "there is no metric \"\""},
      {"metric twice", sense("error,noise,error"), "--metric is \"error,noise,error\": \"error\" is listed twice"},
      {"precision", sense("error", {"--precisions", "8,int4"}), "precision \"int4\" is not known"},
      {"precision twice", sense("error", {"--precisions", "8,4,8"}), "listed twice"},
      {"precision in two spellings", sense("error", {"--precisions", "8,w8a8"}), "listed twice"},
      {"random weights", random, "has random weights"},
      {"long name", sense("error", {"--out", (dir / std::string(300, 'x')).string()}), "cannot write"},
      {"baseline", sense("error", {"--precisions", "16"}), "--precisions is 16, the baseline"},
      {"task", sense("error", {"--task", "top9"}), "there is no task \"top9\""},
      {"no data", {"sense", kModel}, "--calibrate is required"},
      {"missing data", sense("error", {"--data", "cifar10:none.bin"}), "none.bin\" does not exist"},
      {"out is a folder", sense("error", {"--out", dir.path().string()}), "is a folder: name a file"},
      {"below a file", sense("error", {"--out", (text / "s.json").string()}), "cannot write into directory"},
  };
  for (const auto& [what, words, expected] : cases) {
    CAPTURE(what);
    const auto refused = call(words);
    CHECK(refused.code == 2);
    CHECK(refused.out.empty());
    CHECK_THAT(refused.err, Contains(expected));
    CHECK(dir.count() == 1);
  }
}

TEST_CASE("a request to stop ends sense with exit code 1 and no result") {
  const TempDir dir;
  struct sigaction before {};
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  ::sigaction(SIGINT, &plain, &before);
  Registry registry = default_registry();
  bool raised = false;  // a second signal would end the program
  registry.metrics["custom"] = [&raised]() -> std::shared_ptr<const SensitivityMetric> {
    return make_metric("custom", [&raised](const SiteView&) {
      if (!std::exchange(raised, true)) std::raise(SIGINT);
      return 1.0;
    });
  };
  const auto stopped = call(sense("custom", {"--out", (dir / "s.json").string()}), registry);
  CHECK(stopped.code == 1);
  CHECK(stopped.out.empty());
  CHECK_THAT(stopped.err, Contains("Stopped on request"));
  CHECK(dir.count() == 0);
  ::sigaction(SIGINT, &before, nullptr);
}
