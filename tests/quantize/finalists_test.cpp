#include "quantize/finalists.hpp"

#include "failure.hpp"
#include "fixture.hpp"
#include "search/fakes.hpp"

using namespace halftone;
using namespace halftone::fakes;

namespace {

using Texts = std::vector<std::string>;

/// A run over five sites, where plans are the faster the more of them are at 8 bits.
struct Fixture : QuantizeFixture {
  Fixture() {
    auto costs = std::make_shared<ListedLatency>();
    costs->costs.assign(5, {{k16, 1}, {k8, 0.5}, {k4, 0.25}});
    parts.latency = costs;
    targets.push_back({.gate = {.keep = 0.9}, .plan = lowered(4), .figures = {}, .decisions = {}});
  }

  /// The first `count` sites at 8 bits.
  [[nodiscard]] static Plan lowered(std::size_t count) {
    Plan plan = Plan::uniform(5, k16);
    std::fill_n(plan.precisions.begin(), count, k8);
    return plan;
  }
  void scored(const Plan& plan, double score, std::int64_t unscored = 0) {
    steps.push_back({.plan = plan,
                     .evaluation = {.score = score, .samples = 10, .unscored = unscored},
                     .latency = parts.latency->estimate(model.sites, plan)});
  }
  [[nodiscard]] internal::Setup setup() const { return {model, parts_of_data, options, parts, monitor}; }

  [[nodiscard]] Texts finalists() {
    Texts plans;
    const internal::Setup made = setup();
    const internal::Finalists found(made, targets, baseline, steps);
    for (const Variant& variant : found.variants()) plans.push_back(to_string(variant.plan));
    return plans;
  }

  QuantizeData parts_of_data{*data, *data};
  Monitor monitor;
  Evaluation baseline{.score = 1, .samples = 10};
  std::vector<TargetResult> targets;
  std::vector<SearchStep> steps;
};

}  // namespace

TEST_CASE("finalists are the uniform plans, the result, and the two next fastest that passed") {
  Fixture f;
  f.scored(f.lowered(5), 0.8);
  f.scored(f.lowered(1), 0.95);
  f.scored(f.lowered(4), 0.95);
  f.scored(f.lowered(2), 0.95);
  f.scored(f.lowered(3), 0.95);
  CHECK(f.finalists() == Texts{"16 16 16 16 16", "8 8 8 8 8", "8 8 8 8 16", "8 8 8 16 16", "8 8 16 16 16"});
  const internal::Setup setup = f.setup();
  const internal::Finalists finalists(setup, f.targets, f.baseline, f.steps);
  CHECK(finalists.variants()[0].name == "all at 16 bits");
  CHECK(finalists.variants()[1].name == "all at 8 bits");
  CHECK(finalists.variants()[2].name == "plan");
  CHECK(finalists.variants()[3].name == "another plan that passed");
}

TEST_CASE("every target brings its plan and what passes its own gate") {
  Fixture f;
  f.targets.push_back({.gate = {.keep = 0.99}, .plan = f.lowered(1), .figures = {}, .decisions = {}});
  f.scored(f.lowered(3), 0.95);
  f.scored(f.lowered(2), 0.995);
  CHECK(f.finalists() ==
        Texts{"16 16 16 16 16", "8 8 8 8 8", "8 8 8 8 16", "8 8 8 16 16", "8 8 16 16 16", "8 16 16 16 16"});
}

TEST_CASE("no plan is a finalist twice, and none that was not scored in full") {
  Fixture f;
  f.targets[0].plan = Plan::uniform(5, k8);
  f.scored(f.targets[0].plan, 1);
  f.scored(f.lowered(2), 1, 3);
  CHECK(f.finalists() == Texts{"16 16 16 16 16", "8 8 8 8 8"});
}

TEST_CASE("the baseline is a finalist even where 16 bits are not allowed") {
  Fixture f;
  f.options.precisions = {k8, k4};
  f.targets[0].plan = Plan::uniform(5, k8);
  CHECK(f.finalists() == Texts{"16 16 16 16 16", "8 8 8 8 8", "4 4 4 4 4"});
}

TEST_CASE("finalists are timed side by side, each under its plan") {
  Fixture f;
  const Calibration calibration = random_calibration(f.model, std::vector{k8});
  internal::Memory memory({});
  const internal::Setup setup = f.setup();
  internal::Finalists finalists(setup, f.targets, f.baseline, f.steps);
  finalists.measure(calibration, memory);
  const Plan& plan = f.targets[0].plan;
  CHECK(finalists.timing(plan).minimum < finalists.timing(Plan::uniform(5, k16)).minimum);
  CHECK(finalists.timing(plan).samples.size() == finalists.timing(Plan::uniform(5, k16)).samples.size());
  CHECK(failure([&] { (void)finalists.timing(f.lowered(1)); }).code == Errc::Internal);
  f.monitor.should_stop = [] { return true; };
  CHECK_THROWS_AS(finalists.measure(calibration, memory), Stopped);
  int asked = 0;
  f.monitor.should_stop = [&] { return asked++ == 0; };
  CHECK_THROWS_AS(finalists.measure(calibration, memory), Stopped);
}

TEST_CASE("a plan's evaluation is found where it was scored") {
  Fixture f;
  f.scored(f.lowered(1), 1);
  f.scored(f.lowered(2), 0);
  CHECK(find_step(f.steps, f.lowered(2)) == &f.steps[1]);
  CHECK(find_step(f.steps, f.lowered(3)) == nullptr);
}
