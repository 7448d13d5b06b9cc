#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>

#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/journal.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "sensitivity/input_digest.hpp"
#include "sensitivity/kept_table.hpp"
#include "squared_error.hpp"
#include "temp_dir.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

/// Squared difference of the outputs; counts how often it is asked.
class CountingTask final : public SquaredError {
 public:
  mutable std::atomic<int> damages = 0;
  [[nodiscard]] std::string name() const override { return "counting"; }

 private:
  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                     const std::vector<at::Tensor>& clean) const override {
    ++damages;
    return SquaredError::do_damage(outputs, clean);
  }
};

struct Fixture {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = tiny::images(11);
  CountingTask task;
  std::vector<Precision> precisions{k8, k4};
  Calibration calibration = calibrate(model, *data, precisions);
  std::uint64_t seed = 1;
  std::int64_t batch_size = 2;
  int threads = 1;

  [[nodiscard]] SensitivityInput input(Journal* journal = nullptr, Monitor monitor = {}) const {
    return {.model = model,
            .calibration = calibration,
            .data = *data,
            .task = task,
            .precisions = precisions,
            .seed = seed,
            .batch_size = batch_size,
            .threads = threads,
            .monitor = std::move(monitor),
            .journal = journal};
  }
};

std::string bytes(SensitivityTable table) {
  table.seconds = 0;
  return nlohmann::json(table).dump();
}

const std::vector<std::shared_ptr<const SensitivityMetric>>& metrics() {
  static const std::vector<std::shared_ptr<const SensitivityMetric>> list{make_damage(), make_noise(),
                                                                          make_interlayer(), make_measured_pairs()};
  return list;
}

/// Every key in the journal at `path`, which nobody has open.
std::vector<std::string> keys_of(const std::filesystem::path& path) {
  const std::string file = read_text(path);
  const Journal journal(path);
  std::vector<std::string> keys;
  for (std::size_t begin = 0; begin < file.size(); ++begin)
    for (const std::size_t length : {std::size_t{32}, std::string("table ").size() + 32})
      if (const std::string text = file.substr(begin, length); journal.find(text)) keys.push_back(text);
  REQUIRE(keys.size() == journal.records());
  return keys;
}

/// Measures with a journal, stopped at question number `limit`; whether it was. Counts the questions.
bool stopped_at(const Fixture& f, const SensitivityMetric& metric, Journal* journal, int limit,
                int* questions = nullptr) {
  int asked = 0;
  bool stopped = false;
  try {
    (void)metric.measure(f.input(journal, {.on_progress = {}, .should_stop = [&] { return asked++ >= limit; }}));
  } catch (const Stopped&) {
    stopped = true;
  }
  if (questions != nullptr) *questions = asked;
  return stopped;
}

}  // namespace

TEST_CASE("a measurement that was stopped goes on where it was, and comes to the same bytes") {
  const TempDir dir;
  Fixture f;
  for (const auto& metric : metrics())
    for (const int threads : {1, 3}) {
      CAPTURE(metric->name(), threads);
      f.threads = threads;
      f.task.damages = 0;
      const std::string expected = bytes(metric->measure(f.input()));
      const int all = f.task.damages;
      int questions = 0;
      REQUIRE_FALSE(stopped_at(f, *metric, nullptr, 1 << 30, &questions));
      const auto path = dir / (metric->name() + std::to_string(threads));
      {
        Journal journal(path);
        const bool stopped = stopped_at(f, *metric, &journal, questions / 2);
        REQUIRE((stopped || threads > 1));  // the first thread asks, and the others may have done the rest
        if (threads == 1) REQUIRE(journal.records() > 0);
      }
      f.task.damages = 0;
      Journal journal(path);
      CHECK(bytes(metric->measure(f.input(&journal))) == expected);
      if (threads == 1) CHECK(f.task.damages < all);  // what was done was not done again
      f.task.damages = 0;
      CHECK(bytes(metric->measure(f.input(&journal))) == expected);
      CHECK(f.task.damages == 0);  // all is known
    }
}

TEST_CASE("stopped again and again, a measurement runs every batch once") {
  const TempDir dir;
  const Fixture f;
  const auto damage = make_damage();
  Journal journal(dir / "j");
  int runs = 0;
  // Ten changes of a batch are reported one by one: every run ends a batch or two.
  while (stopped_at(f, *damage, &journal, 20)) REQUIRE(++runs < 20);
  CHECK(runs > 2);
  CHECK(journal.records() == 6);
  CHECK(bytes(damage->measure(f.input(&journal))) == bytes(damage->measure(f.input())));
}

TEST_CASE("a journal gives nothing to other work") {
  const TempDir dir;
  Journal journal(dir / "j");
  {
    const Fixture f;
    for (const auto& metric : metrics()) (void)metric->measure(f.input(&journal));
  }
  const auto check = [&](const Fixture& f, const SensitivityMetric& metric) {
    CHECK(bytes(metric.measure(f.input(&journal))) == bytes(metric.measure(f.input())));
  };
  const auto changed = [&](const char* what, const auto& change) {
    CAPTURE(what);
    Fixture f;
    change(f);
    for (const auto& metric : metrics()) check(f, *metric);
  };
  changed("seed", [](Fixture& f) { f.seed = 2; });
  changed("batch size", [](Fixture& f) { f.batch_size = 3; });
  changed("data", [](Fixture& f) { f.data = tiny::images(11, 7); });
  changed("fewer samples", [](Fixture& f) { f.data = tiny::images(10); });
  changed("precisions", [](Fixture& f) { f.precisions = {k4, k8}; });
  changed("ranges", [](Fixture& f) { f.calibration.sites[0].input[4].high *= 0.5; });
  changed("weights", [](Fixture& f) {
    at::Tensor& weight = f.model.tensors[static_cast<std::size_t>(f.model.sites[0].weight)];
    weight = weight * 1.5;
  });
  changed("sites", [](Fixture& f) {
    f.model.sites.pop_back();
    f.calibration.sites.pop_back();
  });
  const Fixture f;
  check(f, *make_noise({.draws = 3, .most_draws = 3}));
  check(f, *make_interlayer({.temperature = 1}));
  check(f, *make_interlayer({.temperature = 4 + 1e-9}));
  check(f, *make_noise({.standard_error = 0.1 + 1e-9}));
}

TEST_CASE("records that are not what was written are measured again") {
  const TempDir dir;
  const Fixture f;
  for (const auto& metric : metrics()) {
    CAPTURE(metric->name());
    const std::string path = (dir / metric->name()).string();
    std::string expected;
    {
      Journal journal(path);
      expected = bytes(internal::find_or_measure(*metric, f.input(&journal)));
    }
    const std::vector<std::string> keys = keys_of(path);
    REQUIRE(keys.size() > 6);
    const std::string number(8, '\0');
    for (const std::string& record : {std::string(), std::string("abc"), number, std::string("{}"),
                                      std::string("{\"metric\": 1}"), std::string(8 * 4096, '\0')}) {
      Journal journal(path);
      for (const auto& key : keys) journal.append(key, record);
      f.task.damages = 0;
      CHECK(bytes(internal::find_or_measure(*metric, f.input(&journal))) == expected);
      CHECK(f.task.damages > 0);
      f.task.damages = 0;
      CHECK(bytes(internal::find_or_measure(*metric, f.input(&journal))) == expected);
      CHECK(f.task.damages == 0);
    }
  }
}

TEST_CASE("a table of other sites or without its errors is no table of this metric") {
  const TempDir dir;
  const Fixture f;
  const auto damage = make_damage();
  std::string expected;
  {
    Journal journal(dir / "j");
    expected = bytes(internal::find_or_measure(*damage, f.input(&journal)));
  }
  const auto keys = keys_of(dir / "j");
  const auto key =
      std::find_if(keys.begin(), keys.end(), [](const auto& known) { return known.starts_with("table "); });
  REQUIRE(key != keys.end());
  Journal journal(dir / "j");
  const auto check = [&](const char* field, const auto& change) {
    nlohmann::json table = nlohmann::json::parse(expected);
    change(table[field]);
    journal.append(*key, table.dump());
    CHECK(bytes(internal::find_or_measure(*damage, f.input(&journal))) == expected);
  };
  check("scores", [](nlohmann::json& sites) { sites.erase(0); });
  check("scores", [](nlohmann::json& sites) { sites[0].erase("4"); });
  check("standard_errors", [](nlohmann::json& sites) { sites[0].erase("4"); });
  check("metric", [](nlohmann::json& name) { name = "noise"; });
}

TEST_CASE("the fingerprint of an input is made once, on its threads, and heeds a stop") {
  const TempDir dir;
  const Fixture f;
  Journal journal(dir / "j");
  SensitivityInput input = f.input(&journal);
  input.digest = internal::input_digest(input);
  std::vector<std::string> stages;
  input.monitor.on_progress = [&](const Progress& progress) { stages.emplace_back(progress.stage); };
  (void)internal::find_or_measure(*make_damage(), input);
  CHECK(std::count(stages.begin(), stages.end(), "read") == 0);
  input.digest.clear();
  (void)internal::find_or_measure(*make_noise(), input);
  CHECK(std::count(stages.begin(), stages.end(), "read") > 0);
  CHECK(internal::input_digest(f.input()) == internal::input_digest(input));
  input.monitor = {.on_progress = {}, .should_stop = [] { return true; }};
  CHECK_THROWS_AS(internal::input_digest(input), Stopped);
}

TEST_CASE("an identity has every option, to the last digit") {
  const auto tells = [](const auto& a, const auto& b) { return a->identity() != b->identity(); };
  CHECK(make_damage()->identity() == "damage");
  CHECK(make_noise()->identity() == "noise 4 16 0.1");
  CHECK(make_hessian()->identity() == "hessian outputs 4 64 0.05");
  CHECK(make_interlayer({.temperature = 0.1 + 0.2})->identity() == "interlayer 0.30000000000000004");
  CHECK(tells(make_fisher({.draws = 3}), make_fisher()));
  CHECK(tells(make_hessian_error(), make_hessian()));
  CHECK(tells(make_hessian({.probe = HessianProbe::Weights}), make_hessian()));
  const auto known = [](double score) { return make_known_metric({.metric = "m", .scores = {{{k8, score}}}}); };
  CHECK(tells(known(1), known(2)));
}
