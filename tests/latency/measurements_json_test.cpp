#include <nlohmann/json.hpp>

#include <string>
#include <tuple>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "halftone/latency/measured.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

LatencyMeasurements example() {
  return {.fingerprint = "0123",
          .engine = "openvino 2026.4.1",
          .machine = "a CPU",
          .batch = 4,
          .threads = 2,
          .load = 0.25,
          .integer = kW4A8,
          .samples = {{{{k16, k16, k16}}, 3.25}, {{{kW4A8, k16, kW4A8}}, 2.1}, {{{kW4A8, kW4A8, kW4A8}}, 1e-3}},
          .uniform = {{k8, 2.5}, {{8, 16}, 3}},
          .sites = {"conv1", "a.b", "fc"},
          .edges = {{0, 1, 100}, {1, 2, 0.5}}};
}

LatencyMeasurements parse(const std::string& text) { return parse_latency_measurements(text, "cache x.json"); }

}  // namespace

TEST_CASE("latency measurements come back from JSON as they were") {
  const LatencyMeasurements measured = example();
  CHECK(parse(json(measured).dump()) == measured);
  CHECK(json(measured)["samples"][1]["integers"] == "101");
}

TEST_CASE("latency measurements with anything wrong are refused, naming place and value") {
  const std::vector<std::tuple<std::string, json, std::string>> cases{
      {"/version", 2, ".version is 2: this program reads version 1"},
      {"/fingerprint", "", ".fingerprint is \"\": a text is needed"},
      {"/engine", 7, ".engine is 7: a text is needed"},
      {"/machine", nullptr, ".machine is null"},
      {"/batch", 0, ".batch is 0: an integer of at least 1"},
      {"/batch", 1.5, ".batch is 1.5"},
      {"/threads", 3000000000U, ".threads is 3000000000: an integer of at most 1048576"},
      {"/load", -1, ".load is -1"},
      {"/integer", "magic", "precision \"magic\" is not known"},
      {"/integer", 8, ".integer is 8: write it in quotes"},
      {"/integer", "w9a9", "precision \"w9a9\" is not known"},
      {"/integer", "16", ".integer is \"16\": weights and activations below 16 bits"},
      {"/integer", "w4a16", ".integer is \"w4a16\""},
      {"/sites", json::array(), ".sites is an array: at least one site is needed"},
      {"/sites/1", "", ".sites[1] is \"\""},
      {"/sites", json{"conv1", "fc"}, ".edges[1].to is 2: an integer of at most 1"},
      {"/edges/0/from", 3, ".edges[0].from is 3: an integer of at most 2"},
      {"/edges/1/to", -1, ".edges[1].to is -1: an integer of at least 0"},
      {"/edges/1/to", 18446744073709551615U, ".edges[1].to is 18446744073709551615"},
      {"/edges/0/elements", -4, ".edges[0].elements is -4"},
      {"/edges/0/weight", 4, ".edges[0] has an unknown key \"weight\""},
      {"/samples/2/integers", "11", ".samples[2].integers is \"11\": one 0 or 1 for each of 3 sites"},
      {"/samples/2/integers", "1111", ".samples[2].integers is \"1111\""},
      {"/samples/0/integers", "1x0", ".samples[0].integers is \"1x0\""},
      {"/samples/0/ms", -3, ".samples[0].ms is -3: a positive number is needed"},
      {"/samples/0/ms", 0, ".samples[0].ms is 0"},
      {"/samples/0/ms", 1e300, ".samples[0].ms is 1e+300: a number of at most 1e+09"},
      {"/samples/0/ms", nullptr, ".samples[0].ms is null: a number is needed"},
      {"/samples/0", 5, ".samples[0] is 5: an object is needed"},
      {"/samples", 5, ".samples is 5: an array is needed"},
      {"/uniform/8", 1e300, ".uniform.8 is 1e+300"},
      {"/uniform/8", "slow", ".uniform.8 is \"slow\": a number is needed"},
      {"/uniform/w8a8", 1, ".uniform: write precision \"w8a8\" as \"8\""},
      {"/uniform/12", 1, ".uniform: precision \"12\" is not known"},
      {"/Edges", 1, " has an unknown key \"Edges\""},
      {"", json::array(), " is an array: an object is needed"},
  };
  for (const auto& [where, what, expected] : cases) {
    CAPTURE(where, what);
    json bad = example();
    bad[json::json_pointer(where)] = what;
    const Failure f = failure([&] { (void)parse(bad.dump()); });
    CHECK(f.code == Errc::BadFile);
    CHECK_THAT(f.text, Catch::StartsWith("cache x.json") && Contains(expected));
  }
}

TEST_CASE("latency measurements that lack a key are refused by its name") {
  const json good = example();
  for (const auto& [key, unused] : good.items()) {
    json bad = good;
    bad.erase(key);
    const Failure f = failure([&] { (void)parse(bad.dump()); });
    CHECK(f.code == Errc::BadFile);
    CHECK(f.text == "cache x.json has no \"" + key + '"');
  }
  json bad = good;
  bad["samples"][1].erase("ms");
  CHECK(failure([&] { (void)parse(bad.dump()); }).text == "cache x.json.samples[1] has no \"ms\"");
}

TEST_CASE("what is no JSON at all is no latency measurement") {
  const std::string good = json(example()).dump();
  std::string nan = good;
  nan.replace(nan.find("3.25"), 4, "NaN");
  for (const std::string& text : {std::string(), good.substr(0, good.size() / 2), nan, good + good,
                                  std::string("{\"load\":1e999}"), std::string("\xff\xfe")}) {
    const Failure f = failure([&] { (void)parse(text); });
    CHECK(f.code == Errc::BadFile);
    CHECK_THAT(f.text, Catch::StartsWith("cache x.json is empty") || Catch::StartsWith("cache x.json is cut short") ||
                           Catch::StartsWith("cache x.json is not JSON"));
    CHECK_THAT(f.text, !Contains("json.exception"));
  }
  CHECK_THAT(failure([&] { (void)parse(std::string(100, '[')); }).text, Contains("nested too deep"));
  CHECK_THAT(failure([&] { (void)parse("{\"load\":1,\"load\":2}"); }).text, Contains("given twice"));
}
