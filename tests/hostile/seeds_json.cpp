// Files that Halftone itself writes and reads again, and other texts of JSON.
#include <nlohmann/json.hpp>

#include "halftone/latency/measured.hpp"
#include "halftone/plan/plan_file.hpp"
#include "halftone/sensitivity/sensitivity_file.hpp"
#include "hostile/seeds.hpp"
#include "report/example_run.hpp"

namespace hostile {

using namespace halftone;

namespace {

/// What is wrong with any JSON, whatever its format.
std::vector<Seed> bad_json(const std::string& good) {
  return {seed("deep arrays", repeated("[", 1000000)),
          seed("deep objects", repeated("{\"a\":", 300000)),
          seed("deep and closed", repeated("[", 100000) + repeated("]", 100000)),
          seed("empty", ""),
          seed("blanks", repeated(" ", 1000000)),
          seed("zero bytes", std::string(1000, '\0') + good),
          seed("cut by a zero byte", good + std::string(1000, '\0') + good),
          seed("byte order mark", "\xEF\xBB\xBF" + good),
          seed("long number", "{\"version\": " + repeated("9", 1000000) + "}"),
          seed("beyond all limits", R"({"version": 1e999999})"),
          seed("long key", "{\"" + repeated("k", 1000000) + "\": 1}"),
          seed("half a surrogate", R"({"version": "\ud800"})"),
          seed("no UTF-8", "{\"version\": \"\xff\xc0\x80\"}"),
          seed("one key often", "{" + repeated("\"version\": 1, ", 100000) + "\"version\": 1}"),
          seed("many arrays", "{\"sites\": [" + repeated("[],", 300000) + "[]]}"),
          seed("many objects", "{\"sites\": [" + repeated("{\"a\":1},", 200000) + "{}]}")};
}

Seeds json_seeds(const std::string& name, const std::string& good) {
  Seeds seeds;
  seeds.good = {seed(name, good)};
  seeds.bad = bad_json(good);
  return seeds;
}

}  // namespace

Seeds plan_seeds() {
  const RunResult run = example_run();
  return json_seeds("three sites", to_text(make_plan_file(run.sites, run.plan, run.calibration, run.model_digest)));
}

Seeds run_seeds() {
  Seeds seeds = json_seeds("measured", to_run_json(measured_run()).dump());
  seeds.good.push_back(seed("modelled", to_run_json(example_run()).dump()));
  return seeds;
}

Seeds measurements_seeds() {
  LatencyMeasurements measured;
  measured.fingerprint = "0123456789abcdef";
  measured.engine = "openvino 2026.4.1";
  measured.machine = "a CPU";
  measured.sites = {"conv1", "conv2", "fc"};
  measured.edges = {{0, 1, 512}, {1, 2, 64}};
  measured.samples = {{{{k16, k8, k16}}, 1.5}, {{{k8, k8, k16}}, 1.25}};
  measured.uniform = {{k16, 2}, {k4, 1}};
  return json_seeds("three sites", nlohmann::json(measured).dump());
}

Seeds sensitivity_seeds() {
  const RunResult run = example_run();
  SensitivityFile file;
  file.model = run.model;
  file.model_digest = run.model_digest;
  for (const Site& site : run.sites) file.sites.push_back(site.name);
  file.precisions = {k8, k4};
  file.task = "top1";
  file.calibration = {"cifar10:train.bin", "c", 500};
  file.data = {"cifar10:test.bin", "v", 64};
  file.range_input = "mse";
  file.range_weight = "max";
  file.tables.push_back(run.sensitivity);
  file.tables[0].pairs = PairMatrix(3, {k8, k4}, std::vector<double>(36, 0.5), 1);
  file.tables[0].clamped = {{.site = 0, .precision = k8, .given = -1}};
  return json_seeds("three sites", nlohmann::json(file).dump());
}

Seeds rules_seeds() {
  const auto rules = [](const std::string& pattern) {
    return "{\"version\": 1, \"rules\": [{\"out\": " + nlohmann::json(pattern).dump() + "}]}";
  };
  Seeds seeds = json_seeds("one of each", R"---({"version": 1, "rules": [
    {"together": "(.*)\\.attention\\.(query|key)"}, {"keep": "layer\\.[0-9].*|a+b", "at_least": "8"},
    {"out": "a(?:a|b)*"}]})---");
  const std::vector<std::string> patterns = {repeated("(", 240) + "a" + repeated(")", 240),
                                             "(" + repeated("a*", 200) + ")*c",
                                             "(?:(?:a+)+)+c",
                                             repeated("(a|aa)+", 60) + "c",
                                             repeated("[^a-", 120),
                                             "a{1000}{1000}",
                                             repeated("\\", 499),
                                             repeated("(?=", 160),
                                             repeated("a?", 249) + "b",
                                             repeated("x", 1000000)};
  for (const std::string& pattern : patterns)
    seeds.bad.push_back(seed("pattern " + pattern.substr(0, 12), rules(pattern)));
  return seeds;
}

Seeds table_seeds() {
  return json_seeds("two sites",
                    R"({"version": 1, "device": "a board", "source": "its vendor", "unit": "ms", "batch": 1,
    "overhead": 0.25, "sites": {"conv1": {"16": 2, "8": 1, "w4a8": 0.75}, "fc": {"16": 1.5e-3, "4": 0.001}}})");
}

Seeds squad_seeds() {
  const std::string good = R"({"version": "1.1", "data": [{"title": "t", "paragraphs": [
    {"context": "The cat é sat on a mat.", "qas": [
      {"id": "1", "question": "who sat?", "answers": [{"text": "cat é", "answer_start": 4}]},
      {"id": "2", "question": "on ?", "answers": [{"text": "a mat", "answer_start": 17}, {"text": ".", "answer_start": 22}]}
    ]}]}]})";
  Seeds seeds = json_seeds("two questions", good);
  seeds.bad.push_back(seed("long context", R"({"data": [{"paragraphs": [{"context": ")" + repeated("the cat ", 100000) +
                                               R"(", "qas": [{"question": "a", "answers": [{"text": "the",)"
                                               R"("answer_start": 0}]}]}]}]})"));
  return seeds;
}

}  // namespace hostile
