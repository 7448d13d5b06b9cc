#include "halftone/quantize.hpp"

#include <algorithm>
#include <set>

#include "failure.hpp"
#include "fixture.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

std::vector<std::string> stages(const RunResult& run) {
  std::vector<std::string> names;
  for (const auto& [stage, seconds] : run.seconds) names.push_back(stage);
  return names;
}

}  // namespace

TEST_CASE("with an engine latency is measured, plans are scored in it, and the result is timed") {
  if (!fakes::integers_run_here()) return;
  QuantizeFixture f;
  f.with_report = true;
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  CHECK(stages(run) == std::vector<std::string>{"calibrate", "latency", "baseline", "sense", "search", "measure",
                                                "compare", "report"});
  CHECK(run.scored_in == "fake 1.0");
  CHECK(run.latency_model == "measured:fake");
  CHECK(run.latency_unit == "ms");
  CHECK_THAT(run.latency_origin, Contains("networks measured in fake 1.0"));
  CHECK(run.baseline.predicted_latency > 0);
  CHECK(run.result.predicted_latency > 0);
  check_result(run);
  CHECK(run.result.evaluation.passed);

  REQUIRE(run.other_score);
  CHECK(run.other_scored_in == "simulation");
  CHECK(run.other_score->score == run.result.evaluation.score);  // this engine simulates
  REQUIRE(run.measured);
  CHECK(run.measured->engine == "fake 1.0");
  CHECK(run.measured->baseline.passes > 0);
  CHECK(run.measured->plan.passes > 0);
  CHECK(run.measured->uniform.size() == 2);
  CHECK(run.result.report);
  CHECK(run.site_saving.size() == 5);
}

TEST_CASE("plans can be scored by simulation where latency is measured") {
  if (!fakes::integers_run_here()) return;
  QuantizeFixture f;
  f.options.scoring = Scoring::Simulated;
  const RunResult run = f.run();
  CHECK(run.scored_in == "simulation");
  CHECK(run.latency_model == "measured:fake");
  REQUIRE(run.other_score);
  CHECK(run.other_scored_in == "fake 1.0");
  check_result(run);
}

TEST_CASE("a latency model takes the place of measuring, and the result is timed all the same") {
  if (!fakes::integers_run_here()) return;
  QuantizeFixture f;
  f.model_latency();
  f.options.precisions = {k16, k8, k4};
  const RunResult run = f.run();
  CHECK(run.latency_model == "size");
  REQUIRE(run.measured);
  CHECK(run.measured->uniform.size() == 3);
  CHECK(run.notes.empty());
  CHECK(stages(run) == std::vector<std::string>{"calibrate", "baseline", "sense", "search", "measure", "compare"});
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
  if (!fakes::integers_run_here()) return;
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
  if (!fakes::integers_run_here()) return;
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
  if (!fakes::integers_run_here()) return;
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
  if (!fakes::integers_run_here()) return;
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
  if (!fakes::integers_run_here()) return;
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
