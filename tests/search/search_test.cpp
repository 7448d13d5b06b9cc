#include "halftone/search/search.hpp"

#include <cmath>

#include "catch.hpp"
#include "failure.hpp"
#include "fakes.hpp"

using namespace halftone;
using namespace halftone::fakes;
using Catch::Contains;

namespace {

/// Asks for the plans it was given, in order, and notes the answers.
struct Scripted final : SearchStrategy {
  std::vector<Plan> plans;
  mutable std::vector<std::optional<bool>> answers;
  [[nodiscard]] std::string name() const override { return "scripted"; }

 private:
  void do_search(const SearchProblem&, SearchRun& run) const override {
    for (const Plan& plan : plans)
      answers.push_back(run.passes(plan, [](bool passed) { return passed ? "good" : "bad"; }));
  }
};

struct Setting {
  std::vector<Site> sites = make_sites(3);
  std::vector<Precision> precisions{k16, k8, k4};
  OrderFn order = [](const Plan&, Precision, const std::vector<std::size_t>& asked) { return asked; };
  SizeLatency latency;
  [[nodiscard]] SearchProblem problem() const { return {sites, precisions, order, latency}; }
};

}  // namespace

TEST_CASE("the fastest plan that passed is the best, whatever came after it") {
  const Setting setting;
  Scripted strategy;
  strategy.plans = {{{k8, k16, k16}}, {{k8, k8, k16}}, {{k4, k4, k4}}, {{k16, k16, k8}}};
  FunctionEvaluator evaluator([](const Plan& plan) { return plan[0] != k4; });
  const SearchResult result = strategy.search(setting.problem(), evaluator);
  CHECK(result.status == SearchStatus::Finished);
  CHECK(result.best == Plan{{k8, k8, k16}});
  CHECK(result.best_latency == setting.latency.estimate(setting.sites, result.best));
  REQUIRE(result.best_evaluation);
  CHECK(result.best_evaluation->passed);
  REQUIRE(result.steps.size() == 4);
  CHECK(result.steps[2].decision == "bad");
  CHECK(result.steps[3].decision == "good");
}

TEST_CASE("of two equally fast plans the earlier stays the best") {
  const Setting setting;
  Scripted strategy;
  strategy.plans = {{{k16, k8, k16}}, {{k8, k16, k16}}};
  FunctionEvaluator evaluator([](const Plan&) { return true; });
  CHECK(strategy.search(setting.problem(), evaluator).best == strategy.plans[0]);
}

TEST_CASE("no plan is scored twice, and the baseline not at all") {
  const Setting setting;
  Scripted strategy;
  const Plan good{{k8, k16, k16}};
  const Plan bad{{k4, k16, k16}};
  strategy.plans = {Plan::uniform(3, k16), good, bad, good, bad};
  FunctionEvaluator inner([](const Plan& plan) { return plan[0] == k8; });
  CountingEvaluator evaluator(inner);
  const SearchResult result = strategy.search(setting.problem(), evaluator);
  CHECK(evaluator.calls == 2);
  CHECK(result.steps.size() == 2);
  CHECK(strategy.answers == std::vector<std::optional<bool>>{true, true, false, true, false});
}

TEST_CASE("where nothing passes the baseline is the best, without an evaluation of its own") {
  const Setting setting;
  Scripted strategy;
  strategy.plans = {Plan::uniform(3, k8)};
  FunctionEvaluator evaluator([](const Plan&) { return false; });
  const SearchResult result = strategy.search(setting.problem(), evaluator);
  CHECK(result.best == Plan::uniform(3, k16));
  CHECK_FALSE(result.best_evaluation);
  CHECK(result.best_latency == 1);
}

TEST_CASE("a passing plan that is slower than the baseline is not the best") {
  Setting setting;
  ListedLatency latency;
  latency.costs = {{{k8, 2.0}}, {}, {}};
  Scripted strategy;
  strategy.plans = {{{k8, k16, k16}}};
  FunctionEvaluator evaluator([](const Plan&) { return true; });
  const SearchResult result = strategy.search({setting.sites, setting.precisions, setting.order, latency}, evaluator);
  CHECK(result.best == Plan::uniform(3, k16));
  CHECK_FALSE(result.best_evaluation);
}

TEST_CASE("after a stop nothing more is scored and what is known is returned") {
  const Setting setting;
  Scripted strategy;
  strategy.plans = {{{k8, k16, k16}}, {{k8, k8, k16}}, {{k8, k8, k8}}};
  FunctionEvaluator inner([](const Plan&) { return true; });
  StoppingEvaluator evaluator(inner, 1);
  const SearchResult result = strategy.search(setting.problem(), evaluator);
  CHECK(result.status == SearchStatus::Stopped);
  CHECK(std::string(to_string(result.status)) == "stopped");
  CHECK(result.best == strategy.plans[0]);
  CHECK(result.steps.size() == 1);
  CHECK(evaluator.calls == 2);
  CHECK(strategy.answers == std::vector<std::optional<bool>>{true, std::nullopt, std::nullopt});
}

TEST_CASE("what an evaluator throws reaches the caller, and the next search starts afresh") {
  const Setting setting;
  Scripted strategy;
  strategy.plans = {{{k8, k16, k16}}, {{k8, k8, k16}}};
  FunctionEvaluator inner([](const Plan&) { return true; });
  ThrowingEvaluator evaluator(inner, 1);
  CHECK_THROWS_WITH(strategy.search(setting.problem(), evaluator), "the evaluator broke");
  const SearchResult again = strategy.search(setting.problem(), evaluator);
  CHECK(again.status == SearchStatus::Finished);
  CHECK(again.steps.size() == 2);
}

TEST_CASE("an evaluation that is not finite is refused, naming figure and plan") {
  struct Odd : Evaluator {
    Evaluation evaluation;
    std::optional<Evaluation> evaluate(const Plan&) override { return evaluation; }
  } evaluator;
  const Setting setting;
  Scripted strategy;
  strategy.plans = {{{k8, k4, k16}}};
  const auto refused = [&] {
    const Failure f = failure([&] { return strategy.search(setting.problem(), evaluator); });
    CHECK(f.code == Errc::NonFinite);
    CHECK_THAT(f.text, Contains("\"8 4 16\""));
    return f.text;
  };
  evaluator.evaluation.score = std::nan("");
  CHECK_THAT(refused(), Contains("score is nan"));
  evaluator.evaluation.score = 1;
  evaluator.evaluation.damage = HUGE_VAL;
  CHECK_THAT(refused(), Contains("damage is inf"));
  evaluator.evaluation.damage = 0;
  evaluator.evaluation.interval.high = std::nan("");
  CHECK_THAT(refused(), Contains("interval's high end is nan"));
}

TEST_CASE("a problem that cannot be searched is refused before anything is scored") {
  Setting setting;
  const Scripted strategy;
  FunctionEvaluator evaluator([](const Plan&) -> bool { throw std::logic_error("scored"); });
  const auto refused = [&] {
    const Failure f = failure([&] { return strategy.search(setting.problem(), evaluator); });
    CHECK(f.code == Errc::InvalidArgument);
    return f.text;
  };
  setting.precisions = {k16};
  CHECK_THAT(refused(), Contains("at least two precisions"));
  setting.precisions = {k8, k16};
  CHECK_THAT(refused(), Contains("from highest to lowest") && Contains("8 comes first where 16 is highest"));
  setting.precisions = {k16, k8, k8};
  CHECK_THAT(refused(), Contains("8 is listed twice"));
  setting.precisions = {k16, Precision{8, 4}, kW4A8};
  CHECK_THAT(refused(), Contains("have no order"));
  setting.precisions = {k16, k8};
  setting.order = nullptr;
  CHECK_THAT(refused(), Contains("no ordering"));
  setting.sites.clear();
  CHECK_THAT(refused(), Contains("no site"));
}
