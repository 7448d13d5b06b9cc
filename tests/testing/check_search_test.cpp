#include "halftone/testing/check_search.hpp"

#include "catch.hpp"
#include "halftone/registry.hpp"

using namespace halftone;
using halftone::testing::check_search;

namespace {

/// A strategy as a user writes it.
struct Made final : SearchStrategy {
  std::function<void(const SearchProblem&, SearchRun&)> body;
  std::string called = "made";
  explicit Made(decltype(body) body_) : body(std::move(body_)) {}
  [[nodiscard]] std::string name() const override { return called; }

 private:
  void do_search(const SearchProblem& problem, SearchRun& run) const override { body(problem, run); }
};

std::string none(bool) { return "x"; }

/// All that was found, one line each.
std::string found(const SearchStrategy& strategy) {
  std::string text;
  for (const std::string& violation : check_search(strategy)) text += violation + '\n';
  return text;
}

/// Lowers site after site as long as that passes: what the bad ones below do as well, but for one thing.
void lower_all(const SearchProblem& problem, SearchRun& run) {
  Plan plan = Plan::uniform(problem.sites.size(), problem.precisions.front());
  for (std::size_t site = 0; site < plan.size(); ++site) {
    Plan next = plan;
    next[site] = problem.precisions.back();
    const auto passed = run.passes(next, none);
    if (!passed) return;
    if (*passed) plan = next;
  }
}

}  // namespace

TEST_CASE("every search that ships keeps the rules") {
  for (const auto& [name, make] : default_registry().searches) {
    CAPTURE(name);
    CHECK(make()->name() == name);
    CHECK(check_search(*make()) == std::vector<std::string>{});
  }
}

TEST_CASE("searches without fault are reported for nothing") {
  CHECK(found(Made(lower_all)).empty());
  CHECK(found(Made([](const auto&, auto&) {})).empty());
}

TEST_CASE("a search that is not the same every time is found") {
  int calls = 0;
  CHECK_THAT(found(Made([&](const SearchProblem& problem, SearchRun& run) {
               Plan plan = Plan::uniform(problem.sites.size(), problem.precisions.front());
               plan[static_cast<std::size_t>(calls++) % plan.size()] = problem.precisions.back();
               (void)run.passes(plan, none);
             })),
             Catch::Contains("it is not deterministic"));
}

TEST_CASE("a search that goes on after a stop request is found") {
  CHECK_THAT(found(Made([](const SearchProblem& problem, SearchRun& run) {
               const Plan plan = Plan::uniform(problem.sites.size(), problem.precisions.back());
               while (!run.passes(plan, none)) continue;
             })),
             Catch::Contains("searching throws: search: it goes on after the user asked to stop"));
}

TEST_CASE("a search that scores too many plans is found") {
  const Made thorough([](const SearchProblem& problem, SearchRun& run) {
    for (unsigned bits = 1; bits < 1U << problem.sites.size(); ++bits) {
      Plan plan = Plan::uniform(problem.sites.size(), problem.precisions.front());
      for (std::size_t i = 0; i < plan.size(); ++i)
        if ((bits >> i & 1U) != 0) plan[i] = problem.precisions.back();
      if (!run.passes(plan, none)) return;
    }
  });
  CHECK_THAT(found(thorough), Catch::Contains("it scores 4095 plans, at most 34 are allowed"));
}

TEST_CASE("a search that asks for plans or orderings of something else is found") {
  const auto scoring = [](std::size_t more, Precision precision) {
    return found(Made([=](const SearchProblem& problem, SearchRun& run) {
      (void)run.passes(Plan::uniform(problem.sites.size() + more, precision), none);
    }));
  };
  CHECK_THAT(scoring(1, k8), Catch::Contains("searching throws: latency model chain: the plan has 2 precisions"));
  CHECK_THAT(scoring(0, Precision{6, 6}), Catch::Contains("with a precision that is not among the problem's"));
  const auto ordering = [](Precision precision, std::vector<std::size_t> sites) {
    return found(Made([=](const SearchProblem& problem, SearchRun& run) {
      (void)problem.order(run.result().best, precision, sites);
    }));
  };
  CHECK(ordering(k4, {}) != "");  // not among {16, 8}
  CHECK_THAT(ordering(k8, {0, 0}), Catch::Contains("it asks for an ordering of 2 sites"));
  CHECK_THAT(ordering(k8, {12}), Catch::Contains("different sites of the problem"));
}

TEST_CASE("a search that keeps the evaluator's exceptions to itself is found") {
  CHECK_THAT(found(Made([](const SearchProblem& problem, SearchRun& run) {
               try {
                 lower_all(problem, run);
               } catch (const std::exception&) {
               }
             })),
             Catch::Contains("it keeps an exception of the evaluator to itself"));
  CHECK_THAT(found(Made([](const SearchProblem& problem, SearchRun& run) {
               try {
                 lower_all(problem, run);
               } catch (const std::exception&) {
                 throw std::runtime_error("oh");
               }
             })),
             Catch::Contains("it throws something else: oh"));
}

TEST_CASE("a search without a name is found") {
  Made nameless(lower_all);
  nameless.called = "";
  CHECK(found(nameless) == "search: it has no name\n");
}

TEST_CASE("a search that does not end is found") {
  CHECK_THAT(found(Made([](const SearchProblem& problem, SearchRun& run) {
               const Plan plan = Plan::uniform(problem.sites.size(), problem.precisions.back());
               while (run.passes(plan, none)) {
               }
             })),
             Catch::Contains("it does not end"));
}
