#include "quantize/finalists.hpp"

#include "failure.hpp"
#include "fake_engine.hpp"
#include "halftone/engine/benchmark.hpp"
#include "search/fakes.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using namespace halftone::fakes;

namespace {

using Texts = std::vector<std::string>;

/// A run over the five sites of `tiny::residual_net`, all of whose plans cost the fewer the more sites are at 8 bits.
struct Fixture {
  Fixture() {
    run.sites = model.sites;
    run.precisions = {k16, k8};
    run.plan = lowered(4);
    latency.costs.assign(5, {{k16, 1}, {k8, 0.5}});
  }

  /// The first `count` sites at 8 bits.
  [[nodiscard]] static Plan lowered(std::size_t count) {
    Plan plan = Plan::uniform(5, k16);
    std::fill_n(plan.precisions.begin(), count, k8);
    return plan;
  }
  void scored(const Plan& plan, bool passed) { run.steps.push_back({plan, verdict(passed)}); }

  [[nodiscard]] Texts finalists() const {
    Texts plans;
    const internal::Finalists finalists(run, latency, FloatType::BFloat16);
    for (const Variant& variant : finalists.variants()) plans.push_back(to_string(variant.plan));
    return plans;
  }

  Model model = tiny::residual_net();
  RunResult run;
  ListedLatency latency;
};

}  // namespace

TEST_CASE("finalists are the uniform plans, the result, and the two next fastest that passed") {
  Fixture f;
  f.scored(f.lowered(5), false);
  f.scored(f.lowered(1), true);
  f.scored(f.lowered(4), true);
  f.scored(f.lowered(2), true);
  f.scored(f.lowered(3), true);
  CHECK(f.finalists() == Texts{"16 16 16 16 16", "8 8 8 8 8", "8 8 8 8 16", "8 8 8 16 16", "8 8 16 16 16"});
  const internal::Finalists finalists(f.run, f.latency, FloatType::BFloat16);
  CHECK(finalists.variants()[0].name == "all at 16 bits");
  CHECK(finalists.variants()[1].name == "all at 8 bits");
  CHECK(finalists.variants()[2].name == "plan");
  CHECK(finalists.variants()[3].name == "another plan that passed");
}

TEST_CASE("no plan is a finalist twice") {
  Fixture f;
  f.run.plan = Plan::uniform(5, k8);
  f.scored(f.run.plan, true);
  CHECK(f.finalists() == Texts{"16 16 16 16 16", "8 8 8 8 8"});
}

TEST_CASE("the baseline is a finalist even where 16 bits are not allowed") {
  Fixture f;
  f.run.precisions = {k8, k4};
  f.run.plan = Plan::uniform(5, k8);
  CHECK(f.finalists() == Texts{"16 16 16 16 16", "8 8 8 8 8", "4 4 4 4 4"});
}

TEST_CASE("finalists are timed side by side, each under its plan") {
  Fixture f;
  internal::Finalists finalists(f.run, f.latency, FloatType::BFloat16);
  const Calibration calibration = random_calibration(f.model, std::vector{k8});
  const BenchmarkOptions options{.measure = {.block_seconds = 1e-4}};
  REQUIRE(finalists.measure(FakeEngine(), f.model, calibration, options, {}));
  REQUIRE(finalists.measurement().timings.size() == 3);
  CHECK(&finalists.timing(f.run.plan) == &finalists.measurement().timings[2]);
  CHECK(finalists.timing(f.run.plan).samples.size() == finalists.timing(Plan::uniform(5, k16)).samples.size());
  CHECK(failure([&] { (void)finalists.timing(f.lowered(1)); }).code == Errc::Internal);
  const Monitor stopped{.on_progress = {}, .should_stop = [] { return true; }};
  CHECK_FALSE(finalists.measure(FakeEngine(), f.model, calibration, options, stopped));
  int asked = 0;
  const Monitor stops_once{.on_progress = {}, .should_stop = [&] { return asked++ == 0; }};
  CHECK_FALSE(finalists.measure(FakeEngine(), f.model, calibration, options, stops_once));
}

TEST_CASE("a plan's evaluation is found where it was scored") {
  Fixture f;
  f.scored(f.lowered(1), true);
  f.scored(f.lowered(2), false);
  CHECK(find_step(f.run.steps, f.lowered(2)) == &f.run.steps[1]);
  CHECK(find_step(f.run.steps, f.lowered(3)) == nullptr);
}
