#include <nlohmann/json.hpp>

#include <tuple>

#include "catch.hpp"
#include "cli/call.hpp"
#include "fake_engine.hpp"
#include "halftone/core/file.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

/// Whether OpenVINO is here; says so in the test's output where it is not.
bool openvino_is_here() {
  if (!has_openvino()) WARN("built without OpenVINO: nothing is run in it");
  return has_openvino();
}

const Words kQuick{"--seconds", "0.5", "--error", "100", "--quiet"};

}  // namespace

TEST_CASE("export writes one file and says what it holds") {
  const TempDir dir;
  const std::string out = (dir / "network.onnx").string();
  const Words words{"export", kModel, "--uniform", "4", "--calibrate", calibration("[0:5]"), "--out", out};
  const auto exported = call(words);
  REQUIRE(exported.code == 0);
  const std::string file = read_text(out);
  CHECK(exported.out == "Written: " + out + ", " + kModel + " with all 20 sites at 4 bits, " +
                            std::to_string(file.size()) + " bytes\n");
  CHECK_THAT(file, Contains("layer3.2.conv2=4") && Contains("halftone.emulated"));
  CHECK(dir.count() == 1);

  const json native = json::parse(call(words + Words{"--sub-byte", "native", "--batch", "4", "--json"}).out);
  CHECK(native["written"] == out);
  CHECK(native["batch"] == 4);
  const std::string smaller = read_text(out);
  CHECK(native["bytes"] == smaller.size());
  CHECK(smaller.size() < file.size());
  CHECK(dir.count() == 1);
}

TEST_CASE("export takes a network without data at 16 bits, for any batch") {
  const TempDir dir;
  const std::string out = (dir / "network.onnx").string();
  const json exported = json::parse(call({"export", "cifar_resnet20:random", "--out", out, "--json"}).out);
  CHECK(exported["batch"].is_null());
  CHECK_THAT(read_text(out), Contains("conv1=16") && !Contains("QuantizeLinear"));
}

TEST_CASE("what is wrong with an export or a benchmark is said, and nothing is written") {
  const TempDir dir;
  const std::string out = (dir / "network.onnx").string();
  const std::string folder = (dir / "missing/network.onnx").string();
  const Words exports{"export", kModel, "--out", out};
  const Words evaluates{"evaluate", kModel, "--data", validation("[0:5]")};
  const std::vector<std::tuple<std::string, Words, std::string>> cases{
      {"sub-byte", exports + Words{"--sub-byte", "packed"}, "--sub-byte is \"packed\": emulated"},
      {"two networks", exports + Words{"--uniform", "8", "--plan", "p"}, "both given"},
      {"no ranges", exports + Words{"--uniform", "8"}, "needs ranges to quantize to"},
      {"batch", exports + Words{"--batch", "-1"}, "--batch"},
      {"no file", {"export", kModel}, "--out is required"},
      {"folder", {"export", kModel, "--out", folder}, folder},
      {"engine",
       {"bench", kModel, "--engine", "magic"},
       "there is no engine \"magic\": choose from libtorch, openvino"},
      {"float type",
       {"bench", kModel, "--engine", "libtorch", "--float", "f16"},
       "--float is \"f16\": bf16, f32 or auto"},
      {"float type without an engine", evaluates + Words{"--float", "f32"}, "give --engine"},
      {"random ranges", evaluates + Words{"--uniform", "8", "--calibrate", "random"},
       "a score needs ranges from samples"},
      {"needless ranges", evaluates + Words{"--calibrate", calibration("[0:5]")}, "--calibrate is given, and"},
      {"needless ranges in a file", exports + Words{"--calibrate", calibration("[0:5]")}, "give --uniform 8 or --plan"},
      {"engine to evaluate", evaluates + Words{"--engine", "magic"}, "there is no engine \"magic\": choose from"},
      {"seconds", {"bench", kModel, "--seconds", "0"}, "--seconds is 0: 0.01 to 1e+06 is needed"},
      {"threads", {"bench", kModel, "--threads", "9999"}, "--threads is 9999: there are "},
      {"out is a folder", {"export", kModel, "--out", dir.path()}, "is no regular file"},
      {"out is empty", {"export", kModel, "--out", ""}, "--out is given nothing"},
      {"error", {"bench", kModel, "--error", "-1"}, "--error is -1: 0.01 to 100 is needed"},
  };
  for (const auto& [what, arguments, expected] : cases) {
    CAPTURE(what);
    const auto refused = call(arguments);
    CHECK(refused.code == 2);
    CHECK(refused.out.empty());
    CHECK_THAT(refused.err, Contains(expected));
    CHECK(dir.count() == 0);
  }
}

TEST_CASE("doctor shows an engine that cannot run integers here as one that does not work") {
  struct FloatsOnly final : Engine {
    [[nodiscard]] std::string name() const override { return "floats"; }
    [[nodiscard]] std::string version() const override { return "1"; }
    void require(FloatType) const override {}
    void require_integers() const override { throw Error(Errc::Unsupported, "no 8-bit dot products"); }

   private:
    [[nodiscard]] std::unique_ptr<CompiledNetwork> do_compile(const Model&, const Plan&, const Calibration&,
                                                              const CompileOptions&) const override {
      return nullptr;
    }
  };
  Registry registry = default_registry();
  registry.engines.clear();
  registry.engines["floats"] = [] { return std::make_shared<const FloatsOnly>(); };
  const auto engine = json::parse(call({"doctor", "--json"}, registry).out)["engines"][0];
  CHECK(engine["works"] == false);
  CHECK(engine["problem"] == "no 8-bit dot products");
}

TEST_CASE("doctor shows what an engine computes in where it is no integer") {
  Registry registry = default_registry();
  registry.engines.clear();
  const auto fake = std::make_shared<fakes::FakeEngine>();
  registry.engines["fake"] = [&] { return fake; };
  const auto engine = [&] { return json::parse(call({"doctor", "--json"}, registry).out)["engines"][0]; };
  CHECK(engine()["float_type"] == "bf16");
  fake->has_bfloat16 = false;
  CHECK(engine()["works"] == true);
  CHECK(engine()["float_type"] == "f32");
  CHECK_THAT(call({"doctor"}, registry).out, Contains("works, version 1.0, all but integers in f32"));
}

TEST_CASE("bench times float, 16 bits and 8 bits, and what was asked for besides") {
  if (!openvino_is_here()) return;
  const auto bench = call(Words{"bench", "cifar_resnet20:random"} + kQuick);
  REQUIRE(bench.code == 0);
  CHECK_THAT(bench.out, Contains("cifar_resnet20:random in openvino ") && Contains("batch 1, 1 thread") &&
                            Contains("32-bit float") && Contains("all at 16 bits (bf16)") &&
                            Contains("all at 8 bits") && Contains("95 % interval") &&
                            Contains("! Some 8-bit ranges come from random inputs"));

  const auto four = call(
      Words{"bench", kModel, "--uniform", "4", "--calibrate", calibration("[0:5]"), "--batch", "2", "--json"} + kQuick);
  REQUIRE(four.code == 0);
  const json report = json::parse(four.out);
  CHECK(report["batch"] == 2);
  CHECK(report["threads"] == 1);
  CHECK(report["random_ranges"] == false);
  REQUIRE(report["networks"].size() == 4);
  CHECK(report["networks"][3]["name"] == "all 20 sites at 4 bits");
  for (const auto& network : report["networks"]) {
    const auto& ratio = network["ratio_to_baseline"];
    CHECK(network["minimum_ms"] > 0);
    CHECK(network["interval_ms"][0] <= network["median_ms"]);
    CHECK(network["median_ms"] <= network["interval_ms"][1]);
    CHECK(ratio["interval"][0] <= ratio["value"]);
    CHECK(ratio["value"] <= ratio["interval"][1]);
    CHECK(ratio["differs"] == (ratio["interval"][0] > 1.0005 || ratio["interval"][1] < 0.9995));
  }
  CHECK(report["networks"][0]["float_type"] == "f32");
  CHECK(report["networks"][1]["ratio_to_baseline"]["value"] == 1);
  CHECK(report["networks"][1]["ratio_to_baseline"]["differs"] == false);
  CHECK(report["baseline"] == "all at 16 bits (bf16)");
  CHECK(report["stopped"] == false);

  const json random = json::parse(
      call(Words{"bench", "cifar_resnet20:random", "--calibrate", "random", "--float", "f32", "--json"} + kQuick).out);
  CHECK(random["random_ranges"] == true);
  CHECK(random["baseline"] == "all at 16 bits (f32)");
  REQUIRE(random["networks"].size() == 2);
  CHECK(random["networks"][1]["float_type"] == "f32");
}

TEST_CASE("bench takes a plan whose weights have no 8-bit ranges") {
  if (!openvino_is_here()) return;
  const TempDir dir;
  REQUIRE(call({"quantize", kModel, "--calibrate", calibration("[0:10]"), "--validate", validation("[0:30]"), "--keep",
                "50%", "--precisions", "16,w4a8", "--latency", "size", "--out", dir / "out"})
              .code == 0);
  const auto bench = call(Words{"bench", kModel, "--plan", dir / "out/plan.json", "--json"} + kQuick);
  REQUIRE(bench.code == 0);
  CHECK(json::parse(bench.out)["random_ranges"] == true);
}

TEST_CASE("an export with made-up ranges says so") {
  const TempDir dir;
  const std::string out = (dir / "network.onnx").string();
  const Words words{"export", "cifar_resnet20:random", "--uniform", "8", "--calibrate", "random", "--out", out};
  CHECK_THAT(call(words).out, Contains("! Its ranges come from random inputs"));
  CHECK(json::parse(call(words + Words{"--json"}).out)["random_ranges"] == true);
}

TEST_CASE("evaluate shows the network as simulated and as deployed") {
  if (!openvino_is_here()) return;
  const Words words{"evaluate",  kModel,     "--data",      validation("[0:10]"),
                    "--uniform", "8",        "--calibrate", calibration("[0:5]"),
                    "--engine",  "openvino", "--quiet"};
  const auto evaluated = call(words);
  REQUIRE(evaluated.code == 0);
  const auto deployed = evaluated.out.find("Deployed in openvino ");
  REQUIRE(deployed != std::string::npos);
  for (const std::string& table : {evaluated.out.substr(0, deployed), evaluated.out.substr(deployed)})
    CHECK_THAT(table,
               Contains("float, as trained") && Contains("all at 16 bits") && Contains("all 20 sites at 8 bits"));
  CHECK_THAT(evaluated.out, Contains("Simulated in LibTorch"));

  const json report = json::parse(call(words + Words{"--json"}).out);
  CHECK(report["deployed"]["engine"] == "openvino");
  CHECK(report["deployed"]["samples"] == 10);
  CHECK(report["deployed"]["float"]["score_count"] == report["float"]["score_count"]);
  CHECK(report["deployed"]["damage"] > 0);
  const Words simulated(words.begin(), words.end() - 3);
  CHECK_FALSE(json::parse(call(simulated + Words{"--json"}).out).contains("deployed"));
}
