#include "halftone/search/bisection.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "catch.hpp"
#include "failure.hpp"
#include "toy.hpp"

using namespace halftone;
using namespace halftone::fakes;
using Catch::Contains;

namespace {

/// The plan of a search that tries every prefix, one after the other, and keeps the longest that passes.
Plan longest_prefixes(const Toy& toy) {
  Plan plan = Plan::uniform(toy.sites.size(), toy.precisions.front());
  for (std::size_t p = 1; p < toy.precisions.size(); ++p) {
    std::vector<std::size_t> sites;
    for (std::size_t i = 0; i < plan.size(); ++i)
      if (plan[i] == toy.precisions[p - 1]) sites.push_back(i);
    Plan longest = plan;
    Plan prefix = plan;
    for (const std::size_t site : toy.order(plan, toy.precisions[p], sites)) {
      prefix[site] = toy.precisions[p];
      if (toy.evaluator.total(prefix) <= toy.evaluator.budget) longest = prefix;
    }
    plan = longest;
  }
  return plan;
}

std::size_t ceil_log2(std::size_t n) {
  std::size_t bits = 0;
  while ((std::size_t{1} << bits) < n) ++bits;
  return bits;
}

SearchResult bisect(std::size_t sites, const std::vector<Precision>& precisions, Evaluator& evaluator,
                    const OrderFn& order = as_listed) {
  const std::vector<Site> list = make_sites(sites);
  return Bisection().search({list, precisions, order, SizeLatency()}, evaluator);
}

}  // namespace

TEST_CASE("bisection uses at most ceil(log2(L+1)) evaluations per precision after the all-8 try") {
  for (std::size_t count = 1; count <= 70; ++count)
    for (std::size_t precisions = 2; precisions <= 4; ++precisions)
      for (unsigned draw = 0; draw < 6; ++draw) {
        const auto seed = static_cast<unsigned>(1000 * count + 10 * precisions) + draw;
        CAPTURE(count, precisions, seed);
        Toy toy(count, std::span(kAll).first(precisions), seed);
        CountingEvaluator evaluator(toy.evaluator);
        const SearchResult result = Bisection().search(toy.problem(), evaluator);
        REQUIRE_FALSE(evaluator.repeated);
        const Plan expected = longest_prefixes(toy);
        std::size_t sites = count;
        for (std::size_t p = 1; p < precisions; ++p) {
          // A step belongs to the lowest precision in its plan.
          std::size_t used = 0;
          for (const SearchStep& step : result.steps)
            used += count_at(step.plan, kAll[p]) > 0 &&
                    std::all_of(kAll.begin() + static_cast<std::ptrdiff_t>(p) + 1, kAll.end(),
                                [&](Precision lower) { return count_at(step.plan, lower) == 0; });
          REQUIRE(used <= (p == 1 ? 1 + ceil_log2(sites) : ceil_log2(sites + 1)));
          sites = 0;
          for (std::size_t lower = p; lower < precisions; ++lower) sites += count_at(expected, kAll[lower]);
        }
      }
}

TEST_CASE("on monotone problems bisection finds the longest passing prefixes") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Toy toy(1 + seed % 25, std::span(kAll).first(2 + seed % 3), seed);
    const SearchResult result = Bisection().search(toy.problem(), toy.evaluator);
    REQUIRE(result.best == longest_prefixes(toy));
    REQUIRE(result.status == SearchStatus::Finished);
  }
}

TEST_CASE("bisection never beats the enumerated optimum, and meets it where sites differ in nothing but damage") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Toy toy(6, std::span(kAll).first(3), seed);
    CHECK(Bisection().search(toy.problem(), toy.evaluator).best_latency >= optimum(toy) - 1e-12);
    Toy equal(9, std::span(kAll).first(2), seed);
    for (Site& site : equal.sites) site.macs = 1000;
    CHECK(Bisection().search(equal.problem(), equal.evaluator).best_latency == Approx(optimum(equal)));
  }
}

TEST_CASE("accuracy that rises and falls along a prefix still gives an evaluated passing plan") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    const std::size_t count = 1 + seed % 40;
    const auto passes = [seed](const Plan& plan) {
      return std::hash<std::string>()(to_string(plan) + std::to_string(seed)) % 3 == 0;
    };
    FunctionEvaluator inner(passes);
    CountingEvaluator evaluator(inner);
    const SearchResult result = bisect(count, kAll, evaluator);
    if (result.best_evaluation) {
      REQUIRE(passes(result.best));
      REQUIRE(evaluator.seen.contains(to_string(result.best)));
    } else {
      REQUIRE(result.best == Plan::uniform(count, k16));
    }
    REQUIRE(result.best_latency <= 1);
  }
}

TEST_CASE("where all sites pass at every precision, each takes few evaluations and the lowest wins") {
  FunctionEvaluator evaluator([](const Plan&) { return true; });
  const SearchResult result = bisect(20, {k16, k8, k4}, evaluator);
  CHECK(result.best == Plan::uniform(20, k4));
  CHECK(decisions(result) == std::vector<std::string>{
                                 "all 20 sites at 8 bits keep enough: next, 4 bits",
                                 "10 safest of 20 sites at 4 bits keep enough: try 15",
                                 "15 safest of 20 sites at 4 bits keep enough: try 18",
                                 "18 safest of 20 sites at 4 bits keep enough: try 19",
                                 "19 safest of 20 sites at 4 bits keep enough: try 20",
                                 "all 20 sites at 4 bits keep enough: done",
                             });
}

TEST_CASE("where nothing passes the baseline is the best") {
  FunctionEvaluator evaluator([](const Plan&) { return false; });
  const SearchResult result = bisect(6, {k16, k8, k4}, evaluator);
  CHECK(result.best == Plan::uniform(6, k16));
  CHECK_FALSE(result.best_evaluation);
  CHECK(result.status == SearchStatus::Finished);
  CHECK(decisions(result) == std::vector<std::string>{
                                 "all 6 sites at 8 bits lose too much: try 3",
                                 "3 safest of 6 sites at 8 bits lose too much: try 1",
                                 "the safest of 6 sites at 8 bits loses too much: lower none",
                             });
}

TEST_CASE("decisions say what is settled") {
  FunctionEvaluator evaluator([](const Plan& plan) { return count_at(plan, k16) >= 3 && count_at(plan, kW4A8) == 0; });
  const SearchResult result = bisect(4, {k16, k8, kW4A8}, evaluator);
  CHECK(decisions(result) == std::vector<std::string>{
                                 "all 4 sites at 8 bits lose too much: try 2",
                                 "2 safest of 4 sites at 8 bits lose too much: try 1",
                                 "the safest of 4 sites at 8 bits keeps enough: next, w4a8",
                                 "the only site at w4a8 loses too much: lower none",
                             });
  FunctionEvaluator three([](const Plan& plan) { return count_at(plan, k8) <= 2; });
  CHECK(decisions(bisect(4, {k16, k8}, three)).back() == "3 safest of 4 sites at 8 bits lose too much: lower 2; done");
}

TEST_CASE("a stop midway returns the best so far") {
  for (int limit = 0; limit < 8; ++limit) {
    CAPTURE(limit);
    Toy toy(40, std::span(kAll).first(3), 11);
    toy.evaluator.budget = 10;
    const SearchResult whole = Bisection().search(toy.problem(), toy.evaluator);
    REQUIRE(whole.steps.size() > 8);
    StoppingEvaluator evaluator(toy.evaluator, limit);
    const SearchResult result = Bisection().search(toy.problem(), evaluator);
    CHECK(result.status == SearchStatus::Stopped);
    CHECK(evaluator.calls == limit + 1);
    REQUIRE(result.steps.size() == static_cast<std::size_t>(limit));
    double least = 1;
    for (const SearchStep& step : result.steps)
      if (step.evaluation.passed) least = std::min(least, toy.latency.estimate(toy.sites, step.plan));
    CHECK(result.best_latency == least);
  }
}

TEST_CASE("an evaluator that throws ends the search with what it threw") {
  FunctionEvaluator inner([](const Plan&) { return true; });
  ThrowingEvaluator evaluator(inner, 2);
  CHECK_THROWS_WITH(bisect(8, {k16, k8, k4}, evaluator), "the evaluator broke");
  CHECK(bisect(8, {k16, k8, k4}, evaluator).best == Plan::uniform(8, k4));
}

TEST_CASE("a site that gains no latency at a precision is left alone there, not below") {
  const std::vector<Site> sites = make_sites(4);
  const std::vector<Precision> precisions{k16, k8, k4};
  const OrderFn order = as_listed;
  ListedLatency latency;
  // Site 1 gains nothing at 8 bits, site 2 loses at 8 bits, site 3 gains nothing more at 4.
  latency.costs = {{{k8, 0.5}, {k4, 0.3}}, {{k8, 1.0}, {k4, 0.1}}, {{k8, 1.5}, {k4, 0.1}}, {{k8, 0.5}, {k4, 0.5}}};
  FunctionEvaluator inner([](const Plan&) { return true; });
  CountingEvaluator evaluator(inner);
  const SearchResult result = Bisection().search({sites, precisions, order, latency}, evaluator);
  CHECK(result.best == Plan{{k4, k4, k4, k8}});
  CHECK(evaluator.calls == 3);
}

TEST_CASE("a precision at which nothing is gained does not end the search") {
  const std::vector<Site> sites = make_sites(2);
  const std::vector<Precision> precisions{k16, k8, kW4A8, k4};
  const OrderFn order = as_listed;
  ListedLatency latency;
  latency.costs = {{{k8, 0.5}, {kW4A8, 0.5}, {k4, 0.3}}, {{k8, 0.5}, {kW4A8, 0.5}, {k4, 0.3}}};
  FunctionEvaluator inner([](const Plan&) { return true; });
  const SearchResult result = Bisection().search({sites, precisions, order, latency}, inner);
  CHECK(result.best == Plan::uniform(2, k4));
}

TEST_CASE("where no site gains anything nothing is scored") {
  const std::vector<Site> sites = make_sites(3);
  const std::vector<Precision> precisions{k16, k8};
  const OrderFn order = as_listed;
  ListedLatency latency;
  latency.costs.resize(3);
  FunctionEvaluator inner([](const Plan&) { return true; });
  CountingEvaluator evaluator(inner);
  const SearchResult result = Bisection().search({sites, precisions, order, latency}, evaluator);
  CHECK(evaluator.calls == 0);
  CHECK(result.best == Plan::uniform(3, k16));
}

TEST_CASE("zero, negative and equal scores do not stop a search") {
  for (const double score : {0.0, -1.0}) {
    SensitivityTable table;
    for (int i = 0; i < 10; ++i) table.scores.push_back({{k8, score}, {k4, score}});
    const OrderFn order = order_by_score(table);
    FunctionEvaluator evaluator([](const Plan& plan) { return count_at(plan, k4) <= 4; });
    const SearchResult result = bisect(10, {k16, k8, k4}, evaluator, order);
    CHECK(count_at(result.best, k4) == 4);
    CHECK(count_at(result.best, k8) == 6);
    for (std::size_t i = 0; i < 4; ++i) CHECK(result.best[i] == k4);
  }
}

TEST_CASE("the ordering is asked about the plan reached, for the sites that are left") {
  std::vector<std::vector<std::size_t>> asked;
  const OrderFn order = [&](const Plan& plan, Precision target, const std::vector<std::size_t>& sites) {
    asked.push_back(sites);
    CHECK(count_at(plan, target) == 0);
    return Ordering(sites.rbegin(), sites.rend());
  };
  FunctionEvaluator evaluator([](const Plan& plan) { return count_at(plan, k16) >= 2; });
  const SearchResult result = bisect(5, {k16, k8, k4}, evaluator, order);
  CHECK(asked == std::vector<std::vector<std::size_t>>{{0, 1, 2, 3, 4}, {2, 3, 4}});
  CHECK(result.best == Plan{{k16, k16, k4, k4, k4}});
}

TEST_CASE("an ordering that is no permutation of the sites asked for is an internal error") {
  FunctionEvaluator evaluator([](const Plan&) { return false; });
  for (const Ordering& bad : {Ordering{0, 1}, Ordering{0, 1, 1}, Ordering{0, 1, 3}, Ordering{0, 1, 2, 2}, Ordering{}}) {
    const OrderFn order = [&](const Plan&, Precision, const std::vector<std::size_t>&) { return bad; };
    const Failure f = failure([&] { return bisect(3, {k16, k8}, evaluator, order); });
    CHECK(f.code == Errc::Internal);
    CHECK_THAT(f.text, Contains("not a permutation of the 3 sites asked for"));
  }
}

TEST_CASE("an ordering is asked for only where some sites are to be told from others, and once a precision") {
  int asked = 0;
  const OrderFn counting = [&](const Plan&, Precision, const std::vector<std::size_t>& sites) {
    ++asked;
    return sites;
  };
  FunctionEvaluator all([](const Plan&) { return true; });
  CHECK(bisect(8, {k16, k8}, all, counting).best == Plan::uniform(8, k8));
  CHECK(asked == 0);
  FunctionEvaluator one(
      [](const Plan& plan) { return std::count(plan.precisions.begin(), plan.precisions.end(), k8) <= 1; });
  CHECK(bisect(8, {k16, k8}, one, counting).steps.size() > 2);
  CHECK(asked == 1);
}

TEST_CASE("a stop within an ordering ends the search with the best plan so far") {
  const OrderFn stopping = [](const Plan&, Precision, const std::vector<std::size_t>&) -> Ordering { throw Stopped(); };
  FunctionEvaluator all([](const Plan&) { return true; });
  const SearchResult result = bisect(8, {k16, k8, k4}, all, stopping);
  CHECK(result.status == SearchStatus::Stopped);
  CHECK(result.best == Plan::uniform(8, k8));
  CHECK(result.steps.size() == 1);
}
