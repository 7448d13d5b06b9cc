#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <tuple>

#include "catch.hpp"
#include "cli/call.hpp"
#include "data/safetensors_bytes.hpp"
#include "halftone/core/file.hpp"
#include "halftone/version.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A quantize command that would succeed, within a second or two: with no engine.
Words quantize(const std::string& out) {
  return {"quantize",  kModel, "--calibrate", calibration("[0:10]"), "--validate", validation("[0:30]"),
          "--threads", "1",    "--latency",   "roofline:a100",       "--evaluate", "simulated",
          "--out",     out};
}

/// Puts `value` behind `option`, which `words` may have already.
Words with(Words words, const std::string& option, const std::string& value) {
  const auto found = std::find(words.begin(), words.end(), option);
  if (found == words.end()) return words + Words{option, value};
  *std::next(found) = value;
  return words;
}

void remove_times(json& value) {
  if (value.is_object()) value.erase("seconds");
  if (value.is_structured())
    for (auto& element : value) remove_times(element);
}

/// Whether there is nothing in `out` but finished work for a later run.
bool holds_no_result(const fs::path& out) {
  if (!fs::exists(out)) return true;
  return std::all_of(fs::directory_iterator(out), fs::directory_iterator(),
                     [](const fs::directory_entry& entry) { return entry.path().filename() == "journal"; });
}

/// Scores by what `score` gives, once it has run.
Registry registry_with_metric(std::function<double()> score) {
  Registry registry = default_registry();
  registry.metrics["custom"] = [score]() -> std::shared_ptr<const SensitivityMetric> {
    return make_metric("custom", [score](const SiteView&) { return score(); });
  };
  return registry;
}

/// SIGINT as in a program that was just started; checks that it is left so.
class PlainInterrupt {
 public:
  PlainInterrupt() {
    struct sigaction plain {};
    plain.sa_handler = SIG_DFL;
    ::sigaction(SIGINT, &plain, &before_);
  }
  ~PlainInterrupt() {
    struct sigaction after {};
    ::sigaction(SIGINT, &before_, &after);
    CHECK(after.sa_handler == SIG_DFL);
  }
  PlainInterrupt(PlainInterrupt&&) = delete;
  PlainInterrupt& operator=(PlainInterrupt&&) = delete;

 private:
  struct sigaction before_ {};
};

}  // namespace

TEST_CASE("quantize writes what evaluate reproduces") {
  const TempDir dir;
  const auto quantized =
      call(with(quantize((dir / "out").string()), "--keep", "95%") + Words{"--json", "--rename", "conv=conv"});
  REQUIRE(quantized.code == 0);
  const json run = json::parse(quantized.out);
  CHECK(run == json::parse(read_text(dir / "out/run.json")));
  CHECK(run["status"] == "met");
  CHECK(run["model"] == kModel);
  CHECK(run["keep"] == 0.95);
  CHECK(run["options"]["batch"] == 1);
  CHECK(run["options"]["rename"] == "conv=conv");
  CHECK(run["report"].is_null());
  CHECK(run["baseline"]["latency_ms"]["predicted"] > run["result"]["latency_ms"]["predicted"]);
  REQUIRE(run["plan"].size() == 20);

  const auto evaluated = call({"evaluate", kModel, "--data", validation("[0:30]"), "--plan",
                               (dir / "out/plan.json").string(), "--json", "--threads", "1"});
  REQUIRE(evaluated.code == 0);
  const json again = json::parse(evaluated.out);
  for (const char* name : {"score", "score_count", "samples", "damage", "interval"}) {
    CAPTURE(name);
    CHECK(again[name] == run["result"][name]);
    CHECK(again["baseline"][name] == run["baseline"][name]);
    CHECK(again["float"][name] == run["float"][name]);
  }
  CHECK(again["plan"] == run["plan"]);
  CHECK(again["data"]["digest"] == run["data"]["validation"]["digest"]);
}

TEST_CASE("rules are given as options or in a file, and hold") {
  const TempDir dir;
  const auto file = dir.write("rules.json", R"({"version": 1, "rules": [{"keep": "conv1", "at_least": "16"}]})");
  const auto quantized = call(with(quantize((dir / "out").string()), "--keep", "20%") +
                              Words{"--json", "--rules", file.string(), "--together", R"((layer\d\.\d)\.conv[12])",
                                    "--keep-high", "layer1[.]0[.].*=8", "--leave-out", "linear"});
  REQUIRE(quantized.code == 0);
  const json run = json::parse(quantized.out);
  const json& plan = run["plan"];
  CHECK(plan["conv1"] == "16");
  CHECK(plan["linear"] == "16");
  CHECK(plan["layer1.0.conv1"] == "8");
  CHECK(plan["layer3.2.conv1"] == "4");
  for (const auto& [name, precision] : plan.items())
    if (name.ends_with(".conv1")) CHECK(plan[name.substr(0, name.size() - 1) + "2"] == precision);
  REQUIRE(run["rules"].size() == 4);
  CHECK(run["rules"][0]["rule"]["keep"] == "conv1");
  CHECK(run["rules"][1]["groups"].size() == 9);
  const auto refused = call(quantize((dir / "none").string()) + Words{"--leave-out", "layer4.*"});
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("rule left out \"layer4.*\": it matches none of the 20 sites"));
  CHECK(holds_no_result(dir / "none"));
}

TEST_CASE("two runs with one seed differ in nothing but times") {
  const TempDir dir;
  json runs[2];
  for (const int i : {0, 1}) {
    const auto out = dir / std::to_string(i);
    REQUIRE(call(quantize(out.string()) + Words{"--report", "40%", "--seed", "3"}).code == 0);
    runs[i] = json::parse(read_text(out / "run.json"));
    remove_times(runs[i]);
  }
  CHECK(runs[0] == runs[1]);
  CHECK(read_text(dir / "0/plan.json") == read_text(dir / "1/plan.json"));
}

TEST_CASE("a share of the validation data can be set aside") {
  const TempDir dir;
  const auto quantized = call(quantize(dir.path().string()) + Words{"--report", "40%", "--json"});
  REQUIRE(quantized.code == 0);
  const json run = json::parse(quantized.out);
  const std::int64_t validated = run["data"]["validation"]["samples"];
  const std::int64_t reported = run["data"]["report"]["samples"];
  CHECK(validated + reported == 30);
  CHECK(reported > 6);
  CHECK(reported < 18);
  CHECK(run["report"]["samples"] == reported);
  CHECK(run["data"]["report"]["name"] == "40% of " + validation("[0:30]") + " (by class, seed 0)");
}

TEST_CASE("quantize tells a person what came out and where it is") {
  const TempDir dir;
  const auto quantized = call(quantize(dir.path().string()));
  CHECK(quantized.code == 0);
  CHECK_THAT(quantized.out, Catch::StartsWith("Met: ") && Contains("modelled, not measured") &&
                                Contains("! There is no report part") && Contains((dir / "plan.json").string()));
  CHECK_THAT(read_text(dir / "report.txt"), Contains("layer3.2.conv2"));
  CHECK(dir.count() == 5);
}

TEST_CASE("a target that no plan meets gives exit code 1 and the best plan") {
  const TempDir dir;
  const auto quantized = call(with(quantize(dir.path().string()), "--precisions", "3,2"));
  CHECK(quantized.code == 1);
  CHECK_THAT(quantized.out, Catch::StartsWith("Missed"));
  CHECK(json::parse(read_text(dir / "run.json"))["status"] == "missed");
}

TEST_CASE("a request to stop keeps the best plan so far and gives exit code 1") {
  const TempDir dir;
  const PlainInterrupt plain;
  struct Interrupted final : SearchStrategy {
    [[nodiscard]] std::string name() const override { return "interrupted"; }

   private:
    void do_search(const SearchProblem& problem, SearchRun& run) const override {
      const auto all = [&](Precision precision) { return Plan::uniform(problem.sites.size(), precision); };
      (void)run.passes(all(k8), [](bool) { return "the first"; });
      std::raise(SIGINT);
      CHECK_FALSE(run.passes(all(k4), [](bool) { return "none"; }));
    }
  };
  Registry registry = default_registry();
  registry.searches["interrupted"] = [] { return std::make_shared<const Interrupted>(); };
  const Words words = with(with(quantize((dir / "out").string()), "--search", "interrupted"), "--keep", "50%");
  const auto quantized = call(words, registry);
  CHECK(quantized.code == 1);
  CHECK_THAT(quantized.err, Contains("the best plan so far is in") &&
                                Contains("The same command goes on where this one was cut short."));
  CHECK_THAT(quantized.out, Catch::StartsWith("Stopped on request"));
  CHECK(json::parse(read_text(dir / "out/run.json"))["status"] == "stopped");
  CHECK(call({"evaluate", kModel, "--data", validation("[0:20]"), "--plan", (dir / "out/plan.json").string()}).code ==
        0);
}

TEST_CASE("every target's plan is a file that can be evaluated, and a second run says that it goes on") {
  const TempDir dir;
  const std::string out = (dir / "out").string();
  const Words words = with(quantize(out), "--keep", "50%,95%");
  const auto first = call(words);
  CHECK_THAT(first.out, Contains(out + "/plan.json, " + out + "/plan-keep-50.json\n"));
  CHECK_THAT(first.err, !Contains("Going on"));
  CHECK(call({"evaluate", kModel, "--data", validation("[0:20]"), "--plan", out + "/plan-keep-50.json"}).code == 0);
  CHECK_THAT(call({"evaluate", kModel, "--data", validation("[0:20]"), "--plan", out + "/run.json"}).err,
             Contains("or the plan file of a looser target, such as plan-keep-95.json"));
  Words loud = words;
  std::erase(loud, "--quiet");
  CHECK_THAT(call(loud).err, Contains("Going on from what an earlier run left in " + out));
}

TEST_CASE("a request to stop before any plan was scored leaves earlier results, and no folder, behind") {
  const TempDir dir;
  const PlainInterrupt plain;
  const auto stopped = [&](const std::string& out) {
    bool raised = false;  // a second signal would end the program
    Registry registry = default_registry();
    registry.latencies["custom"] = [&](const std::string&, std::int64_t) {
      return make_latency_model("custom", "units", [&](std::span<const Site>, const Plan&) {
        if (!std::exchange(raised, true)) std::raise(SIGINT);
        return 1.0;
      });
    };
    return call(with(quantize((dir / out).string()), "--latency", "custom"), registry);
  };
  const auto first = stopped("new/out");
  CHECK(first.code == 1);
  CHECK_THAT(first.err, Contains("no result was written") && Contains("What is finished is kept either way"));
  CHECK_THAT(first.out, Catch::StartsWith("Stopped on request") && !Contains("Written: ") && !Contains("correct"));
  CHECK(dir.count() == 0);
  REQUIRE(call(quantize((dir / "out").string())).code == 0);
  const std::string plan = read_text(dir / "out/plan.json");
  CHECK(stopped("out").code == 1);
  CHECK(read_text(dir / "out/plan.json") == plan);
  CHECK(json::parse(read_text(dir / "out/run.json"))["status"] == "met");
}

TEST_CASE("what is wrong with a command is said before any work, and nothing is left behind") {
  const TempDir dir;
  const auto text = dir.write("text.txt", "x");
  const std::string out = (dir / "new/out").string();
  const Words good = with(quantize(out), "--validate", validation("[0:10]"));
  std::string cut = read_text(kAssets + "/cifar10/validation.bin").substr(0, 3073 * 20 + 5);
  const auto truncated = dir.write("cut.bin", cut);
  const TempDir taken;
  std::filesystem::create_directory(taken / "plan.json");
  const std::string flat =
      dir.write("flat.safetensors",
                safetensors_bytes(R"({"input":{"dtype":"F32","shape":[1,3,16,32],"data_offsets":[0,6144]}})",
                                  std::string(6144, '\0')))
          .string();
  const auto files = dir.count();
  const std::vector<std::tuple<std::string, Words, std::string>> cases{
      {"keep too much", with(good, "--keep", "120%"), "keep \"120%\" is more than the whole score"},
      {"keep no number", with(good, "--keep", "most"), "keep \"most\" is not a number"},
      {"metric", with(good, "--metric", "magic"), "there is no metric \"magic\": choose from damage, error"},
      {"search", with(good, "--search", "magic"),
       "there is no search \"magic\": choose from bisection, frontier, greedy"},
      {"task", with(good, "--task", "top2"), "there is no task \"top2\": choose from squad, squad_em, sts, top1, top5"},
      {"latency", with(good, "--latency", "magic"),
       "there is no latency model \"magic\": choose from measured, roofline, size, spatial, table"},
      {"device", with(good, "--latency", "roofline:abacus"),
       "there is no roofline device \"abacus\": choose from a100"},
      {"ranks", with(good, "--latency", "spatial:a100"), "spatial:RANKS:DEVICE is needed, with 1 to"},
      {"device of ranks", with(good, "--latency", "spatial:4:abacus"),
       "there is no roofline device \"abacus\": choose from a100"},
      {"table", with(good, "--latency", "table:none.json"), "none.json"},
      {"one precision", with(good, "--precisions", "8"), "at least two precisions"},
      {"precision", with(good, "--precisions", "16,9"), "precision \"9\" is not known"},
      {"range", with(good, "--range-input", "min"), "range method \"min\" is not known: use max, percentile, mse or"},
      {"share", with(good, "--report", "100%"), "--report is 100%: a share above 0 % and below 100 %"},
      {"order", with(good, "--order", "magic"), "there is no order \"magic\": choose from auto, gain, nested, score"},
      {"pairs", with(with(good, "--metric", "error"), "--order", "nested"),
       "--metric error says nothing of them: choose --metric from interlayer, interlayer-hvp"},
      {"share without unit", with(good, "--report", "20"), "--report is 20, a number without a unit"},
      {"random weights",
       {"quantize", "cifar_resnet20:random", "--calibrate", calibration("[0:5]"), "--validate", validation("[0:5]"),
        "--out", out},
       "has random weights"},
      {"small share", with(good, "--report", "1%"), "--report 1% of the 10 samples"},
      {"batch", with(good, "--batch", "0"), "--batch: \"0\" is given: a whole number from 1 to 1048576 is needed"},
      {"threads", with(good, "--threads", "many"), "--threads: \"many\" is given: a whole number from 0 to 1048576"},
      {"fraction", with(good, "--max-evaluations", "2.5"), "--max-evaluations: \"2.5\" is given: a whole number"},
      {"threads twice", good + Words{"--threads", "1", "--threads", "2"},
       "--threads is given more than once: give it once"},
      {"seconds", with(good, "--max-seconds", "-3"),
       "--max-seconds: \"-3\" is given: a number of seconds, 0 (no limit) or more, is needed"},
      {"seed", with(good, "--seed", "-1"), "--seed"},
      {"std alone", with(good, "--std", "1,1,1"), "--std is given alone"},
      {"std", with(with(good, "--std", "1,0,1"), "--mean", "0,0,0"), "--std is \"1,0,1\": it must be above 0"},
      {"mean", with(with(good, "--std", "1,1,1"), "--mean", "0,,0"), "--mean is \"0,,0\": numbers between commas"},
      {"channels", with(with(good, "--std", "1,1"), "--mean", "0,0,0"), "--mean has 3 channels and --std 2"},
      {"rename", with(good, "--rename", "conv1"), "rule \"conv1\" renames nothing: FROM=TO is needed"},
      {"rename clash", with(good, "--rename", "conv[12]=conv"), "would both be called \"layer1.0.conv.weight\""},
      {"state dict", with(good, "--state-dict", "ema"), "there is no \"ema\" in it; name none"},
      {"unknown option", good + Words{"--magic"}, "\"--magic\" is not known here"},
      {"missing option", {"quantize", kModel}, "--calibrate is required"},
      {"missing file", with(good, "--validate", "cifar10:none.bin"), "none.bin\" does not exist"},
      {"data form", with(good, "--validate", "none.bin"), "data \"none.bin\" has no known form"},
      {"texts without a vocabulary", with(good, "--validate", "text:none.tsv"), "the model has no vocabulary"},
      {"a vocabulary that is not there", with(with(good, "--validate", "text:none.tsv"), "--vocabulary", "none.txt"),
       "none.txt\" does not exist"},
      {"too few tokens",
       with(with(with(good, "--validate", "text:x"), "--vocabulary", "none.txt"), "--max-tokens", "2"),
       "max_tokens is 2: from 3"},
      {"a crop larger than the image",
       with(with(with(good, "--validate", "images:none"), "--resize", "16"), "--crop", "24"),
       "cannot be scaled to 16 pixels and cropped to 24"},
      {"empty slice", with(good, "--validate", validation("[5:5]")), "there are no samples 5 to 5"},
      {"slice beyond", with(good, "--calibrate", calibration("[0:1000]")), "the number of samples"},
      {"truncated", with(good, "--validate", "cifar10:" + truncated.string()), "cut.bin"},
      {"out is empty", with(good, "--out", ""), "--out is given nothing"},
      {"precisions are empty", with(good, "--precisions", ""), "--precisions is given nothing"},
      {"an option with nothing behind =", good + Words{"--keep="}, "--keep= is given nothing"},
      {"a result cannot be replaced", with(good, "--out", taken.path().string()), "it exists and is no regular file"},
      {"scan measures nothing", {"scan", "cifar_resnet20:random", "--latency", "measured"}, "`halftone bench` does"},
      {"data of another shape", with(good, "--validate", flat),
       "flat.safetensors\" does not fit the model: one sample of input \"input\" is float32 [1, 3, 16, 32], the model "
       "takes float32 [1, 3, 32, 32]"},
      {"below a file", with(good, "--out", (text / "out").string()), "cannot write into directory"},
      {"out is a file", with(good, "--out", text.string()), "cannot write into directory"},
      {"architecture", {"scan", "magic:random"}, "there is no architecture \"magic\": `halftone models` lists"},
      {"depth", {"scan", "cifar_resnet21:random"}, "there is no architecture \"cifar_resnet21\""},
      {"no weights", {"scan", "cifar_resnet20:"}, "names no weights"},
      {"weights", {"scan", "cifar_resnet20:none.safetensors"}, "none.safetensors\" does not exist"},
      {"wrong weights", {"scan", "cifar_resnet32:" + kAssets + "/cifar_resnet20.safetensors"}, "is missing"},
      {"no model", {"scan", "network"}, "model \"network\" is not understood"},
      {"no shape", {"scan", "network.pt"}, "--input 3,32,32"},
      {"shape", {"scan", "network.pt", "--input", "3,0"}, "--input is \"3,0\": sizes are 1 or more"},
      {"no TorchScript", {"scan", "none.pt", "--input", "3,8,8"}, "none.pt"},
      {"no program", {"scan", "none.pt2"}, "none.pt2\" does not exist"},
      {"shape of a program", {"scan", "x.pt2", "--input", "3,8,8"}, "leave --input and --any-length out"},
      {"no ranges", {"evaluate", kModel, "--data", "d", "--uniform", "8"}, "--uniform 8 needs ranges to quantize to"},
      {"uniform", {"evaluate", kModel, "--data", "d", "--uniform", "int8"}, "precision \"int8\" is not known"},
      {"two networks", {"evaluate", kModel, "--data", "d", "--uniform", "8", "--plan", "p"}, "both given"},
      {"no plan", {"evaluate", kModel, "--data", "d", "--plan", "none.json"}, "none.json"},
      {"bad plan", {"evaluate", kModel, "--data", "d", "--plan", text.string()}, "not JSON at line 1, column 1"},
      {"no command", {}, "Usage"},
      {"unknown command", {"magic"}, "\"magic\" is not known here"},
  };
  for (const auto& [what, arguments, expected] : cases) {
    CAPTURE(what);
    const auto refused = call(arguments);
    CHECK(refused.code == 2);
    CHECK(refused.out.empty());
    CHECK_THAT(refused.err, Contains(expected));
    CHECK(dir.count() == files);
  }
}

TEST_CASE("a broken network or broken data is refused by name, and nothing is written") {
  const TempDir dir;
  const std::string weights = read_text(kAssets + "/cifar_resnet20.safetensors");
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string bytes = weights;
    REQUIRE(from.size() == to.size());
    return bytes.replace(bytes.find(from), from.size(), to);
  };
  std::string with_nan = weights;
  const auto data_begin = 8 + static_cast<std::size_t>(static_cast<unsigned char>(weights[0])) +
                          (static_cast<std::size_t>(static_cast<unsigned char>(weights[1])) << 8);
  with_nan.replace(data_begin, 4, std::string("\0\0\xc0\x7f", 4));
  const std::string header = R"({"input":{"dtype":"F32","shape":[2,3,32,32],"data_offsets":[0,24576]},)"
                             R"("target":{"dtype":"I64","shape":[2],"data_offsets":[24576,24592]}})";
  const std::string images(24576, '\0');
  const std::string nan_images = std::string("\0\0\xc0\x7f", 4) + images.substr(4);
  const std::string targets = std::string("\1\0\0\0\0\0\0\0", 8) + std::string("\12\0\0\0\0\0\0\0", 8);
  const std::string good_targets(16, '\0');
  const auto model = [&](const char* name, const std::string& bytes) {
    return "cifar_resnet20:" + dir.write(name, bytes).string();
  };
  const auto data = [&](const char* name, const std::string& bytes) { return dir.write(name, bytes).string(); };
  const Words good = quantize((dir / "out").string());
  const auto with_model = [&](const std::string& spec) {
    Words words = good;
    words[1] = spec;
    return words;
  };
  const std::vector<std::pair<Words, std::string>> cases{
      {with_model(model("nan.safetensors", with_nan)), "\"conv1.weight\""},
      {with_model(model("cut.safetensors", weights.substr(0, weights.size() / 2))), "cut.safetensors"},
      {with_model(model("long.safetensors", weights + "more")), "long.safetensors"},
      {with_model(model("overlap.safetensors", replaced("[0,1728]", "[4,1732]"))), "overlap.safetensors"},
      {with_model(model("name.safetensors", replaced("\"conv1.weight\"", "\"konv1.weight\""))),
       "\"conv1.weight\" is missing"},
      {with_model(model("shape.safetensors", replaced("[16,3,3,3]", "[16,9,3,1]"))),
       "\"conv1.weight\" has shape [16, 9, 3, 1], the network needs [16, 3, 3, 3]"},
      {with(good, "--calibrate", data("nan_images.safetensors", safetensors_bytes(header, nan_images + good_targets))),
       "the input of site \"conv1\" is NaN"},
      {with(good, "--validate", data("classes.safetensors", safetensors_bytes(header, images + targets))),
       "target 10 of sample 1"},
      {with(good, "--validate", "cifar10:" + data("empty.bin", "")), "empty.bin"},
  };
  const auto files = dir.count();
  for (const auto& [arguments, expected] : cases) {
    const auto refused = call(arguments);
    CAPTURE(refused.err);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Contains(expected));
    CHECK(holds_no_result(dir / "out"));
    fs::remove_all(dir / "out");
    CHECK(dir.count() == files);
  }
}

TEST_CASE("a plan edited to a width without ranges is taken with samples that they come from") {
  const TempDir dir;
  REQUIRE(call(quantize((dir / "out").string())).code == 0);
  std::string text = read_text(dir / "out/plan.json");
  const std::string before = "\"precision\": \"";
  const auto at = text.find(before) + before.size();
  const std::string plan = dir.write("plan.json", text.replace(at, text.find('"', at) - at, "5")).string();
  const Words words{"evaluate", kModel, "--data", validation("[0:20]"), "--plan", plan, "--json", "--threads", "1"};
  const auto refused = call(words);
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err,
             Contains("plan \"" + plan + "\": site \"conv1\" is at precision 5") && Contains("--calibrate DATA"));
  const Words ranges{"--calibrate", calibration("[0:10]")};
  const auto evaluated = call(words + ranges);
  REQUIRE(evaluated.code == 0);
  CHECK(json::parse(evaluated.out)["plan"]["conv1"] == "5");
  CHECK(call(Words{"export", kModel, "--plan", plan, "--out", dir / "network.onnx"} + ranges).code == 0);
  const auto run = call({"evaluate", kModel, "--data", validation("[0:20]"), "--plan", dir / "out/run.json"});
  CHECK(run.code == 2);
  CHECK_THAT(run.err, Contains("run.json): give the plan.json beside it"));
}

TEST_CASE("a plan of another network is refused") {
  const TempDir dir;
  REQUIRE(call(quantize(dir.path().string())).code == 0);
  const auto refused = call(
      {"evaluate", "cifar_resnet20:random", "--data", validation("[0:10]"), "--plan", (dir / "plan.json").string()});
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("made for another network"));
}

TEST_CASE("defects give exit code 3 and say so") {
  const TempDir dir;
  const Words words = with(quantize((dir / "out").string()), "--metric", "custom") + Words{"--quiet"};
  const auto broken = call(words, registry_with_metric([]() -> double { throw std::runtime_error("it broke"); }));
  CHECK(broken.code == 3);
  CHECK(broken.err == "halftone: internal error: it broke\n");
  const auto wrong = call(words, registry_with_metric([]() -> double { throw Error(Errc::Internal, "it broke"); }));
  CHECK(wrong.code == 3);
  CHECK_THAT(wrong.err, Catch::StartsWith("halftone: internal error: "));
  CHECK(holds_no_result(dir / "out"));
}

TEST_CASE("a result that cannot be written is an error") {
  std::ostringstream err;
  std::ostream full(nullptr);
  CHECK(cli::run(default_registry(), {"models"}, full, err) == 2);
  CHECK_THAT(err.str(), Contains("could not be written"));
}

TEST_CASE("help and version are answers, not errors") {
  CHECK(call({"--version"}).out == "halftone " HALFTONE_VERSION "\n");
  CHECK_THAT(call({"--help"}).out, Contains("Examples:") && Contains("Exit codes"));
  for (const char* command : {"quantize", "sense", "scan", "evaluate", "models", "doctor", "compare"}) {
    const auto help = call({command, "--help"});
    CHECK(help.code == 0);
    CHECK(help.err.empty());
    CHECK_THAT(help.out, Contains("Example") && Contains(std::string("halftone ") + command) && Contains("--json"));
    std::istringstream lines(help.out);
    for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 100);
  }
}

TEST_CASE("pieces that an embedder adds are offered") {
  CHECK_THAT(call({"quantize", "--help"}, registry_with_metric([] { return 1; })).out, Contains("custom, damage"));
  Registry registry = default_registry();
  Architecture mine;
  mine.name = "mine";
  mine.input_shape = {7};
  mine.vocabulary = 11;
  mine.classes = 2;
  registry.architectures.push_back(family_of(mine));
  CHECK_THAT(call({"models"}, registry).out, Contains("mine\n") && Contains("7 token ids below 11, 2 classes"));
}

TEST_CASE("scan lists sites, sizes and modelled latency") {
  const auto scanned = call({"scan", "cifar_resnet20:random", "--json"});
  REQUIRE(scanned.code == 0);
  const json scan = json::parse(scanned.out);
  REQUIRE(scan["sites"].size() == 20);
  CHECK(scan["sites"][0]["name"] == "conv1");
  CHECK(scan["sites"][0]["weight_shape"] == json{16, 3, 3, 3});
  CHECK(scan["macs"] == 40551040);
  CHECK(scan["weight_elements"] == 268336);
  CHECK(scan["latency"]["uniform"]["16"] > scan["latency"]["uniform"]["8"]);
  CHECK_THAT(scan["latency"]["origin"].get<std::string>(), Contains("not measured"));
  CHECK_THAT(call({"scan", "cifar_resnet20:random"}).out, Contains("20 sites, 40,551,040 multiply-accumulates") &&
                                                              Contains("layer2.0.conv1") && Contains("all at 4"));
}

TEST_CASE("evaluate scores uniform precisions") {
  const Words words{"evaluate", kModel, "--data", validation("[0:20]"), "--threads", "1", "--json"};
  const auto score = [&](const Words& more) {
    const auto evaluated = call(words + more);
    REQUIRE(evaluated.code == 0);
    return json::parse(evaluated.out);
  };
  const json baseline = score({});
  CHECK(baseline["score"] == baseline["baseline"]["score"]);
  CHECK(baseline["plan"]["linear"] == "16");
  const json as_trained = score({"--uniform", "float"});
  CHECK(as_trained["score"] == as_trained["float"]["score"]);
  CHECK(as_trained["damage"] == 0);
  CHECK(as_trained["plan"].is_null());
  const json w4a8 = score({"--uniform", "w4a8", "--calibrate", calibration("[0:10]")});
  CHECK(w4a8["plan"]["conv1"] == "w4a8");
  CHECK(w4a8["damage"] > baseline["damage"]);
  CHECK(w4a8["interval"].size() == 2);
}

TEST_CASE("a plan's ranges can be replaced by fresh ones") {
  const TempDir dir;
  REQUIRE(call(quantize(dir.path().string())).code == 0);
  const Words words{"evaluate", kModel,      "--data", validation("[0:20]"), "--plan", (dir / "plan.json").string(),
                    "--json",   "--threads", "1"};
  const json stored = json::parse(call(words).out);
  const json same =
      json::parse(call(words + Words{"--calibrate", calibration("[0:10]"), "--range-weight", "auto"}).out);
  const json fresh =
      json::parse(call(words + Words{"--calibrate", calibration("[20:30]"), "--range-input", "max"}).out);
  CHECK(same == stored);
  CHECK(fresh["damage"] != stored["damage"]);
  CHECK(fresh["plan"] == stored["plan"]);
}

TEST_CASE("models and doctor speak JSON") {
  const json models = json::parse(call({"models", "--json"}).out);
  CHECK(models["models"][0]["name"] == "cifar_resnet20");
  CHECK(models["models"][4]["name"] == "mobilenet_v1_0.75");
  CHECK(models["models"][4]["mean"] == json{0.5, 0.5, 0.5});
  CHECK(models["models"].back()["vocabulary"] == 30522);
  CHECK_FALSE(models["models"].back().contains("mean"));
  CHECK_THAT(call({"models"}).out, Contains("cifar_resnet56"));
  const json found = json::parse(call({"doctor", "--json"}).out);
  CHECK(found["versions"]["halftone"] == HALFTONE_VERSION);
  for (const char* name : {"cpu", "threads", "memory_gib", "kernels", "engines", "default_engine"})
    CHECK(found.contains(name));
  CHECK_THAT(call({"doctor"}).out, Contains("LibTorch"));
}
