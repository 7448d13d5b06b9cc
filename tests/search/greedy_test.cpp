#include "halftone/search/greedy.hpp"

#include "catch.hpp"
#include "toy.hpp"

using namespace halftone;
using namespace halftone::fakes;

namespace {

SearchResult greedy(std::size_t sites, const std::vector<Precision>& precisions, Evaluator& evaluator,
                    const OrderFn& order = as_listed) {
  const std::vector<Site> list = make_sites(sites);
  return Greedy().search({list, precisions, order, SizeLatency()}, evaluator);
}

/// Three sites in a chain, of which the first two gain less than a conversion costs.
SearchResult greedy_in_chain(Evaluator& evaluator) {
  const std::vector<Site> sites = make_sites(3);
  const std::vector<Precision> precisions{k16, k8};
  const OrderFn order = as_listed;
  ChainLatency latency;
  latency.gains = {{{k8, 2}}, {{k8, 2}}, {{k8, 5}}};
  latency.costs = {3, 3};
  return Greedy().search({sites, precisions, order, latency}, evaluator);
}

/// The search in the plainest words, where every site gains at every precision.
Plan one_by_one(const Toy& toy) {
  Plan plan = Plan::uniform(toy.sites.size(), toy.precisions.front());
  std::vector<std::size_t> sites(plan.size());
  for (std::size_t i = 0; i < sites.size(); ++i) sites[i] = i;
  for (std::size_t p = 1; p < toy.precisions.size(); ++p) {
    std::vector<std::size_t> kept;
    for (const std::size_t site : toy.order(plan, toy.precisions[p], sites)) {
      Plan next = plan;
      next[site] = toy.precisions[p];
      if (toy.evaluator.total(next) > toy.evaluator.budget) continue;
      plan = next;
      kept.push_back(site);
    }
    std::sort(kept.begin(), kept.end());
    sites = kept;
  }
  return plan;
}

}  // namespace

TEST_CASE("greedy keeps every site that passes, one by one, with at most an evaluation a site and precision, and one") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Toy toy(1 + seed % 25, std::span(kAll).first(2 + seed % 3), seed);
    CountingEvaluator evaluator(toy.evaluator);
    const SearchResult result = Greedy().search(toy.problem(), evaluator);
    REQUIRE(result.best == one_by_one(toy));
    REQUIRE_FALSE(evaluator.repeated);
    REQUIRE(evaluator.calls <= static_cast<int>(toy.sites.size() * (toy.precisions.size() - 1) + 1));
  }
}

TEST_CASE("greedy finds sites behind one that loses too much, where a prefix ends") {
  FunctionEvaluator evaluator([](const Plan& plan) { return plan[1] == k16; });
  const SearchResult result = greedy(4, {k16, k8}, evaluator);
  CHECK(result.best == Plan{{k8, k16, k8, k8}});
  CHECK(decisions(result) == std::vector<std::string>{
                                 "all 4 sites at 8 bits: too much is lost, one by one now",
                                 "site0 at 8 bits: kept",
                                 "site1 at 8 bits: loses too much",
                                 "site2 at 8 bits: kept",
                                 "site3 at 8 bits: kept",
                             });
}

TEST_CASE("greedy keeps sites that gain nothing where the plan without them loses too much") {
  // Errors of the first and the last cancel.
  FunctionEvaluator evaluator([](const Plan& plan) { return plan[1] == k16 && (plan[2] == k16 || plan[0] == k8); });
  const SearchResult result = greedy_in_chain(evaluator);
  CHECK(result.best == Plan{{k8, k16, k8}});
  CHECK(result.steps.back().decision == "without sites that cost more time than they gain: loses too much");
}

TEST_CASE("where all sites pass at once greedy asks for no order") {
  FunctionEvaluator evaluator([](const Plan&) { return true; });
  const OrderFn none = [](const Plan&, Precision, const std::vector<std::size_t>&) -> Ordering {
    FAIL("asked");
    return {};
  };
  const SearchResult result = greedy(5, {k16, k8}, evaluator, none);
  CHECK(result.best == Plan::uniform(5, k8));
  CHECK(decisions(result) == std::vector<std::string>{"all 5 sites at 8 bits: enough is kept"});
}

TEST_CASE("greedy goes through sites that gain only beside their neighbours, and leaves none lowered in vain") {
  // Alone the first loses 1; with the second gone nothing pays but the last.
  FunctionEvaluator all([](const Plan& plan) { return count_at(plan, k8) < 3; });
  const SearchResult two = greedy_in_chain(all);
  CHECK(two.best == Plan{{k8, k8, k16}});
  FunctionEvaluator second([](const Plan& plan) { return plan[1] == k16; });
  const SearchResult last = greedy_in_chain(second);
  CHECK(last.best == Plan{{k16, k16, k8}});
  CHECK(last.steps.back().decision == "without sites that cost more time than they gain: kept");
}
