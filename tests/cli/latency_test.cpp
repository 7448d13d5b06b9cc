#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <tuple>
#include <vector>

#include "catch.hpp"
#include "cli/call.hpp"
#include "fake_engine.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

/// A command that takes a second or two where latency is modelled.
Words quantize(const TempDir& dir, const Words& more) {
  return Words{"quantize",    kModel,
               "--calibrate", calibration("[0:10]"),
               "--validate",  validation("[0:30]"),
               "--keep",      "95%",
               "--threads",   "1",
               "--cache",     "none",
               "--out",       dir / "out",
               "--json"} +
         more;
}

Words with_cache(Words words, const std::string& cache) {
  *std::next(std::find(words.begin(), words.end(), "--cache")) = cache;
  return words;
}

Words without_cache(Words words) {
  const auto option = std::find(words.begin(), words.end(), "--cache");
  words.erase(option, option + 2);
  return words;
}

/// An engine that must not be used.
struct Trap final : Engine {
  [[nodiscard]] std::string name() const override { return "trap"; }
  [[nodiscard]] std::string version() const override { return "0"; }
  void require(FloatType) const override { throw Error(Errc::Unsupported, "the trap was asked"); }

 private:
  [[nodiscard]] std::unique_ptr<CompiledNetwork> do_compile(const Model&, const Plan&, const Calibration&,
                                                            const CompileOptions&) const override {
    throw Error(Errc::Unsupported, "the trap was asked");
  }
};

Registry registry_of(const std::vector<std::string>& engines) {
  Registry registry = default_registry();
  registry.engines.clear();
  for (const std::string& name : engines) registry.engines[name] = [] { return std::make_shared<const Trap>(); };
  return registry;
}

}  // namespace

TEST_CASE("without an engine, what needs one is refused and the rest is modelled and simulated") {
  const TempDir dir;
  const Registry none = registry_of({});
  for (const Words& words : {Words{"--latency", "measured"}, Words{"--evaluate", "deployed"},
                             Words{"--evaluate", "deployed", "--latency", "roofline:a100"}}) {
    CAPTURE(words);
    const Outcome refused = call(quantize(dir, words), none);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Contains("need an engine, and there is none") && Contains("--latency roofline:DEVICE"));
    CHECK(dir.count() == 0);
  }
  const Outcome modelled = call(quantize(dir, {}), none);
  REQUIRE(modelled.code == 0);
  const json run = json::parse(modelled.out);
  CHECK(run["result"]["latency_ms"]["model"] == "roofline:a100");
  CHECK(run["options"]["precisions"] == json{"16", "8", "4"});
  CHECK(run["scored_in"] == "simulation");
  CHECK(run["measured"].is_null());
}

TEST_CASE("a modelled latency asks no engine, unless plans are to be deployed") {
  const TempDir dir;
  const Registry trap = registry_of({"libtorch", "trap"});
  const Outcome modelled = call(quantize(dir, {"--latency", "roofline:a100"}), trap);
  REQUIRE(modelled.code == 0);
  const json run = json::parse(modelled.out);
  CHECK(run["result"]["latency_ms"]["model"] == "roofline:a100");
  CHECK(run["measured"].is_null());
  CHECK(run["other_score"].is_null());
  for (const Words& words : {Words{}, Words{"--latency", "measured"}, Words{"--evaluate", "simulated"},
                             Words{"--latency", "roofline:a100", "--evaluate", "deployed"},
                             Words{"--latency", "roofline:a100", "--engine", "trap"}}) {
    CAPTURE(words);
    const Outcome refused = call(quantize(dir, words), trap);
    CHECK(refused.code == 2);
    CHECK(refused.out.empty());
  }
}

TEST_CASE("what is wrong with engine and latency is said before any work") {
  const TempDir dir;
  const auto file = dir.write("file", "x");
  const std::vector<std::tuple<Words, std::string>> cases{
      {{"--evaluate", "magic"}, "--evaluate is \"magic\": simulated or deployed is needed"},
      {{"--engine", "magic"}, "there is no engine \"magic\": choose from libtorch, trap"},
      {{"--engine-threads", "0"}, "--engine-threads: \"0\" is given: a whole number from 1"},
      {{"--latency", "measured:a100"}, "there is no latency model \"measured:a100\": choose from measured, roofline"},
      {{"--engine-threads", "9999"}, "--engine-threads is 9999: there are "},
  };
  for (const auto& [words, expected] : cases) {
    CAPTURE(words);
    const Outcome refused = call(quantize(dir, words), registry_of({"libtorch", "trap"}));
    CHECK(refused.code == 2);
    CHECK(refused.out.empty());
    CHECK_THAT(refused.err, Contains(expected));
    CHECK(dir.count() == 1);
  }
}

TEST_CASE("a cache that cannot be written is refused before anything is measured") {
  const TempDir dir;
  const auto file = dir.write("file", "x");
  const Outcome refused = call(with_cache(quantize(dir, {}), file / "cache"), registry_of({"libtorch"}));
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("cannot write into directory") && Contains("file/cache"));
  CHECK(dir.count() == 1);
}

TEST_CASE("latencies measured are kept in the cache, or nowhere where that was asked for") {
  const TempDir dir;
  Registry registry = registry_of({});
  registry.engines["libtorch"] = [] { return std::make_shared<const fakes::FakeEngine>(); };
  const auto measure = [&](const std::string& cache) {
    const Outcome measured = call(with_cache(quantize(dir, {"--fresh"}), cache), registry);
    REQUIRE(measured.code == 0);
    return json::parse(measured.out);
  };
  const json run = measure(dir / "cache");
  CHECK(run["options"]["precisions"] == json{"16", "8"});
  CHECK(run["result"]["latency_ms"]["model"] == "measured:fake");
  CHECK(run["result"]["latency_ms"]["engine"] == "fake 1.0");
  CHECK(run["scored_in"] == "fake 1.0");
  CHECK(run["other_score"]["scored_in"] == "simulation");
  CHECK(run["measured"]["uniform"].size() == 2);
  const auto entries = [&] { return std::distance(fs::directory_iterator(dir / "cache"), fs::directory_iterator()); };
  CHECK(entries() == 1);
  CHECK(measure(dir / "cache")["uniform_latency"] == run["uniform_latency"]);
  CHECK(entries() == 1);
  ::setenv("XDG_CACHE_HOME", (dir / "home").c_str(), /*overwrite=*/1);
  measure("none");
  CHECK_FALSE(fs::exists(dir / "home"));
  CHECK_FALSE(fs::exists("none"));
  const Words plain = without_cache(quantize(dir, {"--fresh"}));
  Words modelled = plain + Words{"--latency", "roofline:a100", "--engine", "libtorch"};
  modelled[1] = "cifar_resnet20:missing.safetensors";
  CHECK_THAT(call(modelled, registry).err, Contains("missing.safetensors"));
  CHECK(call(plain + Words{"--evaluate", "magic"}, registry).code == 2);
  CHECK_FALSE(fs::exists(dir / "home"));
  CHECK(call(plain, registry).code == 0);
  CHECK(std::distance(fs::directory_iterator(dir / "home/halftone"), fs::directory_iterator()) == 1);
  ::setenv("XDG_CACHE_HOME", (dir.write("file", "x") / "below").c_str(), /*overwrite=*/1);
  CHECK(call(plain, registry).code == 0);  // the default one cannot be written: none is kept
  ::unsetenv("XDG_CACHE_HOME");
}
