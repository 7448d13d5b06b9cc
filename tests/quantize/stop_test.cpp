#include <set>
#include <string>

#include "fixture.hpp"
#include "temp_dir.hpp"

using namespace halftone;

namespace {

/// Asks to stop from question number `limit` on; notes what was reported since.
struct Stopper {
  explicit Stopper(int limit_) : limit(limit_) {}
  int limit;
  int asked = 0;
  std::string stage{};  ///< that was under way when it first asked to stop

  [[nodiscard]] Monitor monitor() {
    return {.on_progress =
                [this](const Progress& progress) {
                  if (asked <= limit) stage = progress.stage;
                },
            .should_stop = [this] { return asked++ >= limit; }};
  }
};

/// Runs that are stopped after ever more questions, up to one that is not stopped; the stages that were.
std::set<std::string> stop_everywhere(const QuantizeFixture& f) {
  constexpr int kMost = 100000;
  std::set<std::string> stages;
  for (int limit = 0; limit < kMost; limit += 1 + limit / 20) {  // measuring asks often
    CAPTURE(limit);
    Stopper stopper(limit);
    const RunResult run = f.run(stopper.monitor());
    if (run.status == RunStatus::Met) {
      CHECK(stopper.asked <= limit + 1);  // the last question comes after the last batch
      return stages;
    }
    stages.insert(stopper.stage);
    CHECK(run.status == RunStatus::Stopped);
    REQUIRE(run.plan.size() == run.sites.size());
    check_result(run);
    if (run.result.evaluation.samples > 0) CHECK(run.result.evaluation.passed);
    CHECK_NOTHROW(text_report(run));
  }
  FAIL("the run never ended");
  return stages;
}

}  // namespace

TEST_CASE("a run that was stopped, whenever it was, has the best plan so far") {
  const TempDir dir;
  QuantizeFixture f;
  f.with_report = true;
  f.options.latency_cache = dir.path();
  (void)f.run();  // latency is measured once: what stops it is tested beside it
  const auto stages = stop_everywhere(f);
  for (const char* stage : {"calibrate", "evaluate", "measure"}) CHECK(stages.contains(stage));
}

TEST_CASE("a run without an engine can be stopped everywhere too") {
  QuantizeFixture f;
  f.with_report = true;
  f.parts.engine = nullptr;
  CHECK(stop_everywhere(f).contains("evaluate"));
}

TEST_CASE("a run that was stopped between latency and baseline has the baseline's prediction") {
  QuantizeFixture f;
  bool measured = false;
  const RunResult run = f.run({.on_progress = [&](const Progress& p) { measured |= p.stage == "evaluate"; },
                               .should_stop = [&] { return measured; }});
  CHECK(run.status == RunStatus::Stopped);
  CHECK(run.result.evaluation.samples == 0);
  CHECK(run.baseline.predicted_latency > 0);
  CHECK(run.result.predicted_latency == run.baseline.predicted_latency);
  CHECK_THAT(text_report(run), !Catch::Contains("-100.0 %"));
}

TEST_CASE("a run that was stopped while latency was measured has the baseline, not scored") {
  const QuantizeFixture f;
  bool measuring = false;
  const RunResult run = f.run({.on_progress = [&](const Progress& p) { measuring |= p.stage == "latency"; },
                               .should_stop = [&] { return measuring; }});
  CHECK(run.status == RunStatus::Stopped);
  CHECK(run.plan == Plan::uniform(5, k16));
  CHECK(run.result.evaluation.samples == 0);
  CHECK(run.result.predicted_latency == 0);
  CHECK(run.latency_model.empty());
  CHECK(run.site_saving.empty());
  CHECK_NOTHROW(text_report(run));
}

TEST_CASE("a run that was stopped says which figures are missing") {
  QuantizeFixture f;
  f.with_report = true;
  bool measuring = false;
  const RunResult run = f.run({.on_progress = [&](const Progress& p) { measuring |= p.stage == "measure"; },
                               .should_stop = [&] { return measuring; }});
  CHECK(run.status == RunStatus::Stopped);
  REQUIRE_FALSE(run.notes.empty());
  CHECK(run.notes.back() ==
        "Missing, as the run was stopped before: the finalists' measured times; the plan's score in simulation; the "
        "plan's score on the report part.");
  for (const std::string& note : f.run().notes) CHECK_THAT(note, !Catch::Contains("Missing"));
}
