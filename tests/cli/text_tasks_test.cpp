// Questions and pairs of sentences from the command line, by a network of a few operators.
#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <set>

#include "catch.hpp"
#include "cli/call.hpp"
#include "halftone/core/file.hpp"
#include "temp_dir.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

constexpr int kTokens = 16;
constexpr int kWords = 12;

std::string vocabulary() {
  std::string text = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";
  for (int i = 4; i < kWords; ++i) text += "w" + std::to_string(i) + "\n";
  return text;
}

/// Each token's logits of start and end by its word; or, pooled, an embedding of the text.
Architecture reader(bool pooled) {
  Architecture architecture;
  architecture.name = pooled ? "embedder" : "reader";
  architecture.load = [pooled](const WeightsFile&, std::uint64_t) {
    tiny::Builder build;
    const auto ids = build.input("ids", {kTokens});
    const auto words = build.parameter("words", tiny::random({kWords, 8}, 1));
    auto x = build.node("aten::embedding", "", {{0, 1}, {kTokens, 0}, {8, 0}},
                        {build.ref(words), build.ref(ids), build.number(-1), false, false});
    x = build.relu(build.linear(x, build.parameter("inner.weight", tiny::random({8, 8}, 2))));
    if (pooled) x = build.flatten(x);
    const std::int64_t in = pooled ? 8 * kTokens : 8;
    Model model = build.finish(build.linear(x, build.parameter("outer.weight", tiny::random({pooled ? 6 : 2, in}, 3))));
    model.graph.values[static_cast<std::size_t>(ids)].dtype = DType::Int64;
    return model;
  };
  return architecture;
}

Registry registry() {
  Registry all = default_registry();
  for (const bool pooled : {false, true}) all.architectures.push_back(family_of(reader(pooled)));
  return all;
}

/// `count` questions about a context of ten words, each answered by one of them.
std::string questions(int count) {
  std::string text;
  for (int q = 0; q < count; ++q) {
    std::string context;
    for (int i = 0; i < 10; ++i) context += "w" + std::to_string(4 + (i * (q + 1) + q) % 6) + " ";
    text += std::string(q > 0 ? "," : "") + R"({"paragraphs":[{"context":")" + context +
            R"(","qas":[{"question":"w4","answers":[{"text":")" + context.substr(3, 2) + R"(","answer_start":3}]}]}]})";
  }
  return R"({"data":[)" + text + "]}";
}

std::string pairs(int count) {
  std::string text = "score\tsentence1\tsentence2\n";
  for (int i = 0; i < count; ++i)
    text += std::to_string(i % 6) + "\tw" + std::to_string(4 + i % 8) + " w5\tw" + std::to_string(4 + i % 5) + " w7\n";
  return text;
}

struct Files {
  TempDir dir;
  std::string words = dir.write("vocab.txt", vocabulary()).string();
  std::string asked = dir.write("q.json", questions(30)).string();
  std::string rated = dir.write("p.tsv", pairs(30)).string();

  [[nodiscard]] Words quantize(const std::string& model, const std::string& data, const std::string& task) const {
    return {"quantize",     model + ":" + words,
            "--calibrate",  data + "[0:10]",
            "--validate",   data,
            "--task",       task,
            "--latency",    "size",
            "--evaluate",   "simulated",
            "--out",        (dir / "out").string(),
            "--threads",    "1",
            "--vocabulary", words,
            "--json",       "--gate",
            "damage:0.1"};
  }
};

}  // namespace

TEST_CASE("questions are answered, and F1 and exact match are scored") {
  const Files files;
  json runs[2];
  for (const int exact : {0, 1}) {
    const auto ran =
        call(files.quantize("reader", "squad:" + files.asked, exact == 1 ? "squad_em" : "squad"), registry());
    CAPTURE(ran.err);
    REQUIRE(ran.code == 0);
    runs[exact] = json::parse(ran.out);
  }
  CHECK(runs[0]["options"]["task"] == "squad");
  CHECK(runs[0]["baseline"]["samples"] == 30);
  CHECK(runs[0]["float"]["score"] > 0);
  CHECK(runs[0]["float"]["score"] >= runs[1]["float"]["score"]);
  CHECK(runs[0]["result"]["damage"] <= 0.1);
  const auto wrong = call(files.quantize("reader", "sts:" + files.rated, "squad"), registry());
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.err, Contains("has no questions to answer: squad:FILE.json is needed"));
}

TEST_CASE("a share of pairs is set aside in whole pairs") {
  const Files files;
  const auto ran = call(files.quantize("embedder", "sts:" + files.rated, "sts") + Words{"--report", "40%"}, registry());
  CAPTURE(ran.err);
  REQUIRE(ran.code == 0);
  const json run = json::parse(ran.out);
  CHECK(run["data"]["validation"]["samples"] == 36);
  CHECK(run["data"]["report"]["samples"] == 24);
  CHECK_THAT(run["data"]["report"]["name"].get<std::string>(), Contains("by 2 that belong together, seed 0"));
}

TEST_CASE("a share of questions, which have no classes, is refused") {
  const Files files;
  const auto ran =
      call(files.quantize("reader", "squad:" + files.asked, "squad") + Words{"--report", "40%"}, registry());
  CHECK(ran.code == 2);
  CHECK_THAT(ran.err, Contains("has no class labels: give --report DATA"));
}

TEST_CASE("a task that an embedder adds is offered and scored") {
  const Files files;
  Registry mine = registry();
  mine.tasks["near"] = []() -> std::shared_ptr<const Task> {
    return make_task("near", {.score = [](const std::vector<at::Tensor>& outputs, const at::Tensor& targets) {
                       return -(outputs[0].select(1, 0) - targets).abs();
                     }});
  };
  const auto ran = call(files.quantize("embedder", "sts:" + files.rated, "near"), mine);
  CAPTURE(ran.err);
  REQUIRE(ran.code == 0);
  CHECK(json::parse(ran.out)["options"]["task"] == "near");
  CHECK_THAT(call({"quantize", "--help"}, mine).out, Contains("near, squad"));
}
