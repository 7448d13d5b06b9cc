#include "halftone/latency/measure_latency.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <optional>
#include <string>

#include "engine/cpu_features.hpp"
#include "failure.hpp"
#include "fake_engine.hpp"
#include "halftone/core/file.hpp"
#include "halftone/engine/benchmark.hpp"
#include "temp_dir.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using namespace halftone::fakes;
using Catch::Contains;

namespace {

namespace fs = std::filesystem;

const std::vector<Precision> kPrecisions{k16, k8};
constexpr int kPlans = 3;
constexpr int kCompiled = 2 + kPlans;  ///< in each round of measuring

struct Fixture {
  TempDir dir;
  Model model = tiny::residual_net();
  Calibration calibration = random_calibration(model, std::vector{k8, k4});
  FakeEngine engine;
  MeasureLatencyOptions options{.plans = kPlans, .cache = dir / "cache"};

  std::optional<MeasuredLatency> measure(std::span<const Precision> precisions = kPrecisions,
                                         const Monitor& monitor = {}, std::vector<std::string>* notes = nullptr) {
    return measure_latency(engine, model, calibration, precisions, options, monitor, notes);
  }
  [[nodiscard]] fs::path entry() const { return fs::directory_iterator(options.cache)->path(); }
  [[nodiscard]] std::ptrdiff_t entries() const {
    return std::distance(fs::directory_iterator(options.cache), fs::directory_iterator());
  }
};

}  // namespace

TEST_CASE("what was measured is kept and read again: the second time compiles nothing") {
  Fixture f;
  const auto first = f.measure();
  REQUIRE(first);
  CHECK(f.engine.compiled > 0);
  CHECK(f.engine.compiled % kCompiled == 0);
  CHECK(f.entries() == 1);
  f.engine.compiled = 0;
  const auto second = f.measure();
  REQUIRE(second);
  CHECK(f.engine.compiled == 0);
  CHECK(second->measurements() == first->measurements());
  CHECK(second->error() == first->error());
}

TEST_CASE("measurements say what they are of") {
  Fixture f;
  f.options.cache.clear();
  const auto latency = f.measure();
  REQUIRE(latency);
  const LatencyMeasurements& measured = latency->measurements();
  REQUIRE(measured.samples.size() == kCompiled);
  CHECK(measured.samples[0].plan == Plan::uniform(5, k16));
  CHECK(measured.samples[1].plan == Plan::uniform(5, k8));
  CHECK(measured.engine == "fake 1.0");
  CHECK(measured.sites == std::vector<std::string>{"stem", "left", "right", "tail", "head"});
  CHECK(measured.edges.size() == 4);
  CHECK(measured.uniform.empty());
  CHECK(f.dir.count() == 0);
  f.options.plans = 0;
  CHECK(f.measure()->measurements().samples.size() == 2 + 5 / 2 + 8);
}

TEST_CASE("another batch, number of threads or engine version is measured anew") {
  Fixture f;
  REQUIRE(f.measure());
  const auto measures = [&](const FakeEngine& engine, const MeasureLatencyOptions& options) {
    const std::ptrdiff_t before = f.entries();
    REQUIRE(measure_latency(engine, f.model, f.calibration, kPrecisions, options));
    return f.entries() == before + 1;
  };
  MeasureLatencyOptions other = f.options;
  other.batch = 2;
  CHECK(measures(FakeEngine(), other));
  other = f.options;
  other.threads = 2;
  CHECK(measures(FakeEngine(), other));
  CHECK(measures(FakeEngine("1.1"), f.options));
  other = f.options;
  ++other.plans;
  CHECK(measures(FakeEngine(), other));
  other = f.options;
  other.float_type = FloatType::Float32;
  CHECK(measures(FakeEngine(), other));
  CHECK_FALSE(measures(FakeEngine(), f.options));
}

TEST_CASE("a network with operands of additions as sites is measured apart") {
  Fixture f;
  REQUIRE(f.measure());
  f.model.sites = find_sites(f.model.graph, {.additions = true});
  f.calibration = random_calibration(f.model, kPrecisions);
  REQUIRE(f.measure());
  CHECK(f.entries() == 2);
}

TEST_CASE("a fit that is poor is not taken from the cache") {
  Fixture f;
  f.options.plans = 8;
  REQUIRE(f.measure());
  nlohmann::json entry = nlohmann::json::parse(read_text(f.entry()));
  for (std::size_t i = 0; i < entry["samples"].size(); ++i) entry["samples"][i]["ms"] = i % 2 == 0 ? 1 : 3;
  write_atomically(f.entry(), entry.dump());
  f.engine.compiled = 0;
  REQUIRE(f.measure());
  CHECK(f.engine.compiled > 0);
}

TEST_CASE("a further precision is measured beside what is known, once") {
  Fixture f;
  const auto first = f.measure();
  f.engine.compiled = 0;
  const std::vector<Precision> more{k16, k8, k4};
  const auto second = f.measure(more);
  REQUIRE(second);
  CHECK(f.engine.compiled == 2 * 2);
  CHECK((second->measurements().samples == first->measurements().samples));
  CHECK(second->measurements().uniform.size() == 1);
  CHECK(second->measurements().uniform.contains(k4));
  CHECK(f.entries() == 1);
  f.engine.compiled = 0;
  CHECK(f.measure(more)->measurements() == second->measurements());
  CHECK(f.engine.compiled == 0);
}

TEST_CASE("a further precision that was disturbed at first is measured again") {
  Fixture f;
  REQUIRE(f.measure());
  f.engine.compiled = 0;
  const auto usual = f.engine.units;
  f.engine.units = [&](const Plan& plan) { return usual(plan) * (f.engine.compiled <= 2 && plan[0] == k4 ? 20 : 1); };
  const auto latency = f.measure(std::vector{k16, k8, k4});
  REQUIRE(latency);
  const LatencyMeasurements& measured = latency->measurements();
  CHECK(measured.uniform.at(k4) < 5 * measured.samples[1].milliseconds);
}

TEST_CASE("a machine is known by more than its name, the same every time") {
  const std::string machine = internal::cpu_identity();
  CHECK(machine == internal::cpu_identity());
  CHECK(machine.starts_with(internal::cpu_name() + ' '));
}

TEST_CASE("a damaged cache entry is replaced, with a note that names its file") {
  Fixture f;
  REQUIRE(f.measure());
  const fs::path entry = f.entry();
  const std::string good = read_text(entry);
  const auto refusal = [&](const std::string& content) {
    write_atomically(entry, content);
    f.engine.compiled = 0;
    std::vector<std::string> notes;
    CHECK(f.measure(kPrecisions, {}, &notes));
    CHECK(f.engine.compiled > 0);
    REQUIRE(notes.size() == 1);
    CHECK_THAT(notes[0], Catch::StartsWith("Latency was measured anew") && Contains(entry.string()));
    CHECK_NOTHROW(parse_latency_measurements(read_text(entry), "entry"));
    CHECK(f.entries() == 1);
    return notes[0];
  };
  const auto changed = [&](const char* where, const nlohmann::json& what) {
    nlohmann::json content = nlohmann::json::parse(good);
    content[nlohmann::json::json_pointer(where)] = what;
    return refusal(content.dump());
  };
  CHECK_THAT(refusal(good.substr(0, good.size() / 2)), Contains("is cut short"));
  CHECK_THAT(refusal(""), Contains("is empty"));
  CHECK_THAT(changed("/fingerprint", "0000"), Contains("is of something else"));
  CHECK_THAT(changed("/sites/1", "other"), Contains("a network with other sites"));
  CHECK_THAT(changed("/samples", nlohmann::json::array()), Contains("there are 0 samples"));
  CHECK_THAT(changed("/samples/1/ms", -1), Contains("samples[1].ms is -1"));
}

TEST_CASE("a cache that cannot be written is refused before anything is measured") {
  Fixture f;
  f.options.cache = f.dir.write("file", "x") / "cache";
  const Failure refused = failure([&] { (void)f.measure(); });
  CHECK(refused.code == Errc::Io);
  CHECK_THAT(refused.text, Contains("cannot write into directory") && Contains("cache"));
  CHECK(f.engine.compiled == 0);
}

TEST_CASE("a request to stop ends measuring after any turn, and keeps nothing") {
  Fixture f;
  for (const int turns : {0, 1, 5, 14}) {
    CAPTURE(turns);
    int asked = 0;
    const Monitor monitor{.on_progress = {}, .should_stop = [&] { return asked++ >= turns; }};
    CHECK_FALSE(f.measure(kPrecisions, monitor));
    CHECK(asked > turns);
    CHECK(f.entries() == 0);
  }
}

TEST_CASE("progress is reported as latency, a group at a time") {
  Fixture f;
  std::vector<std::string> stages;
  REQUIRE(f.measure(kPrecisions,
                    {.on_progress = [&](const Progress& p) { stages.emplace_back(p.stage); }, .should_stop = {}}));
  CHECK_FALSE(stages.empty());
  for (const std::string& stage : stages) CHECK(stage == "latency");
}

TEST_CASE("what the engine cannot compile is said in its words") {
  Fixture f;
  f.engine.most = 2;
  const Failure refused = failure([&] { (void)f.measure(); });
  CHECK(refused.code == Errc::Unsupported);
  CHECK(refused.text == "fake: operator aten::relu is not known");
}

TEST_CASE("wrong options of measuring are refused together") {
  Fixture f;
  f.options = {.batch = 0, .threads = 0, .plans = -1};
  const Failure refused = failure([&] { (void)f.measure(); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Contains("batch is 0") && Contains("threads is 0") && Contains("plans is -1"));
}

TEST_CASE("precisions among which no site computes in integers have nothing to measure") {
  Fixture f;
  const Failure refused = failure([&] { (void)f.measure(std::vector{k16, Precision{4, 16}}); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Contains("add 8"));
  CHECK(f.engine.compiled == 0);
}
