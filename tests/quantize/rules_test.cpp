// Rules of the user's own: which sites share a precision, stay high or are left out.
#include <set>

#include "failure.hpp"
#include "fixture.hpp"
#include "halftone/graph/site_units.hpp"
#include "halftone/search/frontier.hpp"
#include "halftone/search/greedy.hpp"
#include "report/flat.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// Sites: stem, left, right, tail, head.
const std::vector<SiteRule> kRules{{RuleKind::Together, "left|right"}, {RuleKind::AtLeast, "head", k8}};

struct Fixture : QuantizeFixture {
  Fixture() {
    options.precisions = {k16, k8, k4};
    options.rules = kRules;
    data = mostly_right(model, 100);
  }
  [[nodiscard]] SiteUnits units() const { return {model.sites, options.rules, options.precisions}; }
};

void check_obeys(const RunResult& run, const SiteUnits& units) {
  CHECK(units.obeys(run.plan));
  for (const SearchStep& step : run.steps) CHECK(units.obeys(step.plan));
  for (const TargetResult& target : run.looser) CHECK(units.obeys(target.plan));
}

}  // namespace

TEST_CASE("every plan of a run obeys its rules, whatever is searched for and how") {
  Fixture f;
  f.model_latency();
  f.parts.engine = nullptr;
  const std::vector<std::shared_ptr<const SearchStrategy>> searches{nullptr, std::make_shared<Greedy>(),
                                                                    std::make_shared<Frontier>()};
  for (const auto& search : searches) {
    f.parts.search = search;
    f.options.latency_target.reset();
    for (const double budget : {1e-4, 1e-2, 1.0}) {
      f.options.gates = {{.kind = GateKind::Damage, .budget = budget},
                         {.kind = GateKind::Damage, .budget = 2 * budget}};
      const RunResult run = f.run();
      check_obeys(run, f.units());
      check_result(run);
    }
  }
  f.options.gates.clear();
  f.options.latency_target = LatencyTarget{.change = -0.4};
  const RunResult run = f.run();
  CHECK(run.status == RunStatus::Met);
  check_obeys(run, f.units());
}

TEST_CASE("plans of all sites at one precision go as far as the rules allow, and the report says so") {
  Fixture f;
  f.options.rules.push_back({RuleKind::Out, "stem"});
  f.options.keep = 0.01;
  f.model_latency();
  std::set<std::string> timed;
  f.engine->units = [&](const Plan& plan) {
    timed.insert(to_string(plan));
    return 1;
  };
  const RunResult run = f.run();
  check_obeys(run, f.units());
  const Plan nearest{{k16, k4, k4, k4, k8}};
  CHECK(f.units().constrain(Plan::uniform(5, k4)) == nearest);
  CHECK(timed.contains(to_string(nearest)));
  CHECK_FALSE(timed.contains(to_string(Plan::uniform(5, k4))));
  CHECK(run.uniform_latency.at("4") == f.parts.latency->estimate(f.model.sites, nearest));
  REQUIRE(run.rules.size() == 3);
  CHECK(run.rules[0].groups == std::vector<std::vector<std::size_t>>{{1, 2}});
  CHECK_THAT(flat(text_report(run)), Contains("1 group of 2 sites together \"left|right\"") &&
                                         Contains("1 site at least 8 bits \"head\"") &&
                                         Contains("Every plan obeys the rules"));
}

TEST_CASE("decisions name groups by what their sites have in common") {
  Fixture f;
  f.model_latency();
  f.parts.engine = nullptr;
  f.parts.search = std::make_shared<Greedy>();
  f.options.gates = {{.kind = GateKind::Damage, .budget = 1e-3}};
  std::string decisions;
  for (const Decision& decision : f.run().decisions) decisions += decision.text + '\n';
  CHECK_THAT(decisions, Contains("all 4 sites at 8 bits") && Contains("(left, right) at 4 bits"));
}

TEST_CASE("a run without rules says nothing of them") {
  Fixture f;
  f.options.rules.clear();
  const RunResult run = f.run();
  CHECK(run.rules.empty());
  CHECK_THAT(text_report(run), !Contains("Rules") && !Contains("rules"));
}

TEST_CASE("rules that the network cannot meet are refused before any work") {
  Fixture f;
  f.options.rules = {{RuleKind::Together, "left|middle"}};
  const Failure failed = failure([&] { (void)f.run(); });
  CHECK(failed.code == Errc::InvalidArgument);
  CHECK_THAT(failed.text, Contains("no two sites are together by it"));
  CHECK(f.engine->compiled == 0);
}
