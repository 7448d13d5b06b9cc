#include "halftone/quantize.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "failure.hpp"
#include "fixture.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "search/fakes.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

std::vector<std::string> stages(const RunResult& run) {
  std::vector<std::string> names;
  for (const auto& [stage, seconds] : run.seconds) names.push_back(stage);
  return names;
}

/// An engine whose times change between the measuring of latency and the end of the search.
struct Change : QuantizeFixture {
  bool late = false;

  /// `count` gives the time of a plan, `late` or not, in units of 10 us.
  explicit Change(std::function<int(const Plan&, bool late)> units) {
    engine->units = [this, units = std::move(units)](const Plan& plan) { return units(plan, late); };
  }
  RunResult run() {
    return QuantizeFixture::run(
        {.on_progress = [this](const Progress& p) { late = late || p.stage == "evaluate"; }, .should_stop = {}});
  }
};

int integers(const Plan& plan) {
  return static_cast<int>(std::count_if(plan.precisions.begin(), plan.precisions.end(), in_integers));
}

/// The first site seems to lose in integers, until it does not.
int first_loses_early(const Plan& plan, bool late) {
  return 70 - 12 * integers(plan) + (in_integers(plan[0]) && !late ? 40 : 0);
}

}  // namespace

TEST_CASE("a uniform plan that turns out faster than what the search found is the result, where it passes") {
  Change f(first_loses_early);
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  CHECK(run.plan == Plan::uniform(5, k8));
  REQUIRE(run.notes.size() == 1);
  CHECK_THAT(run.notes[0], Contains("all at 8 bits") && Contains("it is the result"));
  REQUIRE(run.steps.size() >= 2);
  CHECK_THAT(run.steps.back().decision, Contains("all at 8 bits, measured faster than the plan found, keeps enough"));
  CHECK(integers(run.steps.front().plan) == 4);
  CHECK(run.measured->plan.minimum == run.measured->uniform.at("8").minimum);
  check_result(run);
}

TEST_CASE("a uniform plan that turns out faster and loses too much is not the result") {
  Change f(first_loses_early);
  f.engine->spoils = [](const Plan& plan) { return plan == Plan::uniform(5, k8); };
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  CHECK(integers(run.plan) == 4);
  CHECK(run.plan[0] == k16);
  CHECK(run.notes.empty());
  CHECK_THAT(run.steps.back().decision, Contains("loses too much"));
  check_result(run);
}

TEST_CASE("where nothing turns out faster than 16 bits, these are the result") {
  Change f([](const Plan& plan, bool late) { return late ? 20 + 10 * integers(plan) : 70 - 12 * integers(plan); });
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  CHECK(run.plan == Plan::uniform(5, k16));
  REQUIRE(run.notes.size() == 1);
  CHECK_THAT(run.notes[0], Contains("all at 16 bits"));
  check_result(run);
}

TEST_CASE("where 16 bits are not allowed, a plan slower than they are says so") {
  Change f([](const Plan& plan, bool) { return 20 + 10 * integers(plan); });
  f.options.precisions = {k8, k4};
  f.options.keep = 0.1;
  const RunResult run = f.run();
  REQUIRE_FALSE(run.notes.empty());  // which of 8 and 4 bits is faster is chance
  CHECK_THAT(run.notes.back(), Contains("slower than all sites at 16 bits: nothing faster was found"));
}

TEST_CASE("a plan that follows a latency model and is slower in the engine says so") {
  Change f([](const Plan& plan, bool) { return 20 + 10 * integers(plan); });
  f.model_latency();
  const RunResult run = f.run();
  CHECK(integers(run.plan) > 0);
  REQUIRE(run.notes.size() == 1);
  CHECK_THAT(run.notes[0], Contains("as measured in the engine; the search followed the latency model"));
}

TEST_CASE("measurements that fit poorly are said to be made again") {
  Change f([](const Plan& plan, bool late) {
    if (late) return 10;
    return integers(plan) == 0 ? 10 : 10 + static_cast<int>(Digest().add(to_string(plan)).hex()[0] % 8) * 20;
  });
  const RunResult run = f.run();
  REQUIRE_FALSE(run.notes.empty());
  CHECK_THAT(run.notes[0], Contains("fit poorly") && Contains("the next fresh run measures anew"));
}

TEST_CASE("what a site saves is what the plan would lose by it at 16 bits, nothing where it is there") {
  QuantizeFixture f;
  const auto latency = std::make_shared<fakes::ListedLatency>();
  latency->costs = {{{k8, 0.9}}, {{k8, 0.8}}, {{k8, 0.7}}, {{k8, 0.6}}, {{k8, 0.5}}};
  f.parts.latency = latency;
  f.parts.metric = make_metric("last", [](const SiteView& view) { return view.site.name == "right" ? 1.0 : 0.0; });
  f.engine->spoils = [](const Plan& plan) { return plan[2] == k8; };
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  REQUIRE(run.site_saving.size() == 5);
  CHECK(run.plan == Plan{{k8, k8, k16, k8, k8}});
  for (std::size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    const double expected = run.plan[i] == k16 ? 0 : 1 - latency->costs[i].at(k8);
    CHECK(run.site_saving[i] == Approx(expected).margin(1e-12));
    CHECK_FALSE(std::signbit(run.site_saving[i]));
  }
}

TEST_CASE("a machine without bfloat16 is served in float32, and says so") {
  QuantizeFixture f;
  f.engine->has_bfloat16 = false;
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  CHECK(run.engine->float_type == "f32");
  CHECK_THAT(text_summary(run), Contains("all but integers in f32"));
  f.options.float_type = FloatType::BFloat16;
  f.engine->compiled = 0;
  const Failure refused = failure([&] { (void)f.run(); });
  CHECK(refused.code == Errc::Unsupported);
  CHECK(f.engine->compiled == 0);
}

TEST_CASE("what cannot be measured is refused before any sample is read") {
  QuantizeFixture f;
  f.options.precisions = {k16, Precision{4, 16}};
  int reports = 0;
  const Monitor monitor{.on_progress = [&](const Progress&) { ++reports; }, .should_stop = {}};
  CHECK_THAT(failure([&] { (void)f.run(monitor); }).text, Contains("add 8"));
  const TempDir dir;
  f.options.precisions = {k16, k8};
  f.options.latency_cache = dir.write("file", "x") / "cache";
  CHECK(failure([&] { (void)f.run(monitor); }).code == Errc::Io);
  f.options.latency_cache.clear();
  f.engine->has_integers = false;
  CHECK_THAT(failure([&] { (void)f.run(monitor); }).text, Contains("no 8-bit dot products"));
  CHECK(reports == 0);
}

TEST_CASE("with an engine latency is measured, plans are scored in it, and the result is timed") {
  QuantizeFixture f;
  f.with_report = true;
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  CHECK(stages(run) ==
        std::vector<std::string>{"read", "calibrate", "latency", "baseline", "search", "measure", "compare", "report"});
  CHECK(run.sensitivity.scores.empty());  // all sites at 8 bits pass
  CHECK(run.scored_in == "fake 1.0");
  CHECK(run.latency_model == "measured:fake");
  CHECK(run.latency_unit == "ms");
  CHECK_THAT(run.latency_origin, Contains("networks measured in fake 1.0"));
  CHECK(run.baseline.predicted_latency > 0);
  CHECK(run.result.predicted_latency > 0);
  check_result(run);
  CHECK(run.result.evaluation.passed);

  REQUIRE(run.other_score);
  CHECK(run.other_score->scored_in == "simulation");
  CHECK(run.other_score->evaluation.score == run.result.evaluation.score);  // this engine simulates
  REQUIRE(run.measured);
  REQUIRE(run.engine);
  CHECK(run.engine->full_name() == "fake 1.0");
  CHECK(run.engine->float_type == "bf16");
  CHECK(run.measured->baseline.passes > 0);
  CHECK(run.measured->plan.passes > 0);
  CHECK(run.measured->uniform.size() == 2);
  CHECK(run.result.report);
  CHECK(run.site_saving.size() == 5);
}

TEST_CASE("a plan is scored the other way on as many samples as asked") {
  QuantizeFixture f;
  f.options.compare_samples = 7;
  const RunResult run = f.run();
  REQUIRE(run.other_score);
  CHECK(run.other_score->evaluation.samples == 7);
  REQUIRE(run.other_score->same_samples);
  check_equal(run.other_score->same_samples->plan, run.other_score->evaluation);  // this engine simulates
  CHECK(run.other_score->same_samples->baseline.samples == 7);
  CHECK(run.result.evaluation.samples == 20);

  f.options.compare_samples = 0;
  CHECK_FALSE(f.run().other_score);
  f.options.compare_samples = -1;
  CHECK_THAT(failure([&] { (void)f.run(); }).text, Contains("compare_samples is -1: 0 (none) or more"));
}

TEST_CASE("plans can be scored by simulation where latency is measured") {
  QuantizeFixture f;
  f.options.scoring = Scoring::Simulated;
  const RunResult run = f.run();
  CHECK(run.scored_in == "simulation");
  CHECK(run.latency_model == "measured:fake");
  REQUIRE(run.other_score);
  CHECK(run.other_score->scored_in == "fake 1.0");
  check_result(run);
}

TEST_CASE("a latency model takes the place of measuring, and the result is timed all the same") {
  QuantizeFixture f;
  f.model_latency();
  f.options.precisions = {k16, k8, k4};
  const RunResult run = f.run();
  CHECK(run.latency_model == "size");
  REQUIRE(run.measured);
  CHECK(run.measured->uniform.size() == 3);
  CHECK(run.notes.empty());
  CHECK(stages(run) ==
        std::vector<std::string>{"read", "calibrate", "baseline", "sense", "search", "measure", "compare"});
  check_result(run);
}

TEST_CASE("without an engine nothing is measured, and plans are simulated") {
  QuantizeFixture f;
  f.parts.engine = nullptr;
  const RunResult run = f.run();
  CHECK(run.latency_model == "roofline:a100");
  CHECK(run.scored_in == "simulation");
  CHECK_FALSE(run.other_score);
  CHECK_FALSE(run.measured);
  CHECK(f.engine->compiled == 0);
  f.options.scoring = Scoring::Deployed;
  const Failure refused = failure([&] { (void)f.run(); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK(refused.text == "scoring is Deployed, and there is no engine: give parts.engine");
}

TEST_CASE("where 16 bits are not among the precisions the result has none") {
  QuantizeFixture f;
  f.options.keep = 0.01;
  f.options.precisions = {k8, k4};
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  CHECK(std::count(run.plan.precisions.begin(), run.plan.precisions.end(), k16) == 0);
  REQUIRE(run.measured);
  CHECK(run.measured->baseline.passes > 0);
  check_result(run);
}

TEST_CASE("where not even the highest precision passes, it is the result and was missed") {
  QuantizeFixture f;
  f.options.keep = 1;
  f.options.precisions = {{3, 3}, {2, 2}};
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Missed);
  CHECK(run.plan == Plan::uniform(5, {3, 3}));
  CHECK(run.measured);
  CHECK(run.notes.empty());
  check_result(run);
}

TEST_CASE("latencies measured earlier are taken from the cache") {
  const TempDir dir;
  QuantizeFixture f;
  f.options.latency_cache = dir / "cache";
  const RunResult first = f.run();
  const int all = f.engine->compiled;
  const RunResult second = f.run();
  CHECK(f.engine->compiled - all < all);
  CHECK(second.uniform_latency == first.uniform_latency);
  CHECK(second.latency_origin == first.latency_origin);
}

TEST_CASE("an engine that cannot compile the network ends the run with what it says, before any plan is scored") {
  for (const bool modelled : {false, true}) {
    CAPTURE(modelled);
    QuantizeFixture f;
    f.options.scoring = Scoring::Simulated;
    if (modelled) f.model_latency();
    f.engine->most = 0;
    std::set<std::string> seen;
    const Failure refused = failure(
        [&] { (void)f.run({.on_progress = [&](const Progress& p) { seen.emplace(p.stage); }, .should_stop = {}}); });
    CHECK(refused.code == Errc::Unsupported);
    CHECK(refused.text == "fake: operator aten::relu is not known");
    CHECK_FALSE(seen.contains("evaluate"));
  }
}

TEST_CASE("an engine that fails later ends the run too") {
  QuantizeFixture f;
  f.model_latency();
  f.engine->most = 3;  // once to see, twice for the baseline
  CHECK(failure([&] { (void)f.run(); }).code == Errc::Unsupported);
  CHECK(f.engine->compiled == 4);
}

TEST_CASE("options of measuring are checked with the others") {
  QuantizeFixture f;
  f.options.keep = 2;
  f.options.latency_batch = 0;
  f.options.latency_threads = 0;
  const Failure refused = failure([&] { (void)f.run(); });
  CHECK_THAT(refused.text, Contains("keep is 2") && Contains("latency_batch is 0") && Contains("latency_threads is 0"));
}

TEST_CASE("sites are ordered as asked, and where nothing was asked by what the metric gives") {
  QuantizeFixture f;
  f.model_latency();
  f.options.precisions = {k16, k8, k4};
  CHECK(f.run().order == "nested");
  f.parts.metric = make_quantization_error();
  CHECK(f.run().order == "gain");
  f.parts.order = score_order();
  CHECK(f.run().order == "score");
  bool made = false;
  f.parts.order = OrderMethod{
      .name = "mine", .make = [&](const SensitivityTable& table, std::span<const Site> sites, const LatencyModel&) {
        made = table.metric == "error" && sites.size() == 5;
        return order_by_score(table);
      }};
  CHECK(f.run().order == "mine");
  CHECK(made);
}

TEST_CASE("sensitivities are measured where the search needs them, on as many samples as asked for") {
  QuantizeFixture f;
  f.model_latency();
  f.options.precisions = {k16, k8, k4};
  f.options.sense_samples = 7;
  std::int64_t samples = 0;
  std::int64_t sites = 0;
  class Counting final : public SensitivityMetric {
   public:
    Counting(std::int64_t& samples, std::int64_t& sites) : samples_(samples), sites_(sites) {}
    [[nodiscard]] std::string name() const override { return "counting"; }

   private:
    [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
      samples_ += input.data.size();
      sites_ += std::ssize(input.model.sites);
      SensitivityTable table = make_quantization_error()->measure(input);
      table.forward_passes = 2;
      return table;
    }
    std::int64_t& samples_;
    std::int64_t& sites_;
  };
  f.parts.metric = std::make_shared<const Counting>(samples, sites);
  const RunResult run = f.run();
  CHECK(samples == 7);
  CHECK(sites == 5);
  CHECK(run.sensitivity.scores.size() == 5);
  const auto names = stages(run);
  CHECK(std::find(names.begin(), names.end(), "sense") + 1 == std::find(names.begin(), names.end(), "search"));
  const double evaluations = static_cast<double>(run.steps.size()) + 2;
  CHECK(run.forward_passes >= evaluations + 2 * 7.0 / 20);
  f.options.sense_samples = 0;
  CHECK_THAT(failure([&] { (void)f.run(); }).text, Contains("sense_samples is 0"));
}

TEST_CASE("an order that needs pairs is refused before any work where the metric gives none") {
  QuantizeFixture f;
  f.parts.metric = make_quantization_error();
  f.parts.order = nested_order();
  int reports = 0;
  const Failure refused =
      failure([&] { (void)f.run({.on_progress = [&](const Progress&) { ++reports; }, .should_stop = {}}); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Contains("order nested needs pairs") && Contains("metric error does not give"));
  CHECK(reports == 0);
}
