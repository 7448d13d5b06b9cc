#include "halftone/graph/site_units.hpp"

#include <random>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

std::vector<Site> named(const std::vector<std::string>& names) {
  std::vector<Site> sites;
  for (const auto& name : names) sites.emplace_back().name = name;
  return sites;
}

const std::vector<Precision> kThree{k16, k8, k4};
const std::vector<Site> kSites = named({"stem", "l.0.q", "l.0.k", "l.0.v", "l.1.q", "l.1.k", "l.1.v", "head"});

SiteUnits units(const std::vector<SiteRule>& rules, const std::vector<Precision>& precisions = kThree) {
  return {kSites, rules, precisions};
}

std::vector<std::string> names(const SiteUnits& of) {
  std::vector<std::string> list;
  for (const SiteUnit& unit : of.units()) list.push_back(unit.name);
  return list;
}

const SiteRule kLayers{RuleKind::Together, R"(l\.(\d).*)"};

}  // namespace

TEST_CASE("units are groups and sites that no rule ties, by their first site") {
  const SiteUnits of = units({kLayers, {RuleKind::Out, "head"}});
  CHECK(names(of) == std::vector<std::string>{"stem", "l.0 (q, k, v)", "l.1 (q, k, v)"});
  CHECK(of.units()[2].sites == std::vector<std::size_t>{4, 5, 6});
  CHECK(of.fixed() == std::vector<std::size_t>{7});
  CHECK(of.expand({{k8, k16, k4}}) == Plan{{k8, k16, k16, k16, k4, k4, k4, k16}});
  CHECK(of.contract({{k8, k16, k16, k16, k4, k4, k4, k16}}) == Plan{{k8, k16, k4}});
}

TEST_CASE("a group of many sites, or of sites without a common folder, has a short name") {
  CHECK(names(units({{RuleKind::Together, "l.*"}})) ==
        std::vector<std::string>{"stem", "l (0.q, 0.k, … 6 sites)", "head"});
  CHECK(names(units({{RuleKind::Together, "stem|head"}}))[0] == "(stem, head)");
}

TEST_CASE("groups with a common site merge, and the strictest rule holds for all of a group") {
  const SiteUnits of = units({{RuleKind::Together, "stem|l.0.q"},
                              {RuleKind::Together, "l.0.q|l.1.v"},
                              {RuleKind::AtLeast, "l.1.v", kW4A8},
                              {RuleKind::AtLeast, "stem", k4}});
  REQUIRE(of.units()[0].sites == std::vector<std::size_t>{0, 1, 6});
  CHECK(of.units()[0].lowest == kW4A8);
  CHECK(of.allowed(of.units()[0], k4) == k8);  // w4a8 is not among the precisions
  CHECK(of.expand(Plan::uniform(6, k4)) == Plan{{k8, k8, k4, k4, k4, k4, k8, k4}});
  CHECK(units({kLayers, {RuleKind::AtLeast, "l.0.k"}}).fixed() == std::vector<std::size_t>{1, 2, 3});
}

TEST_CASE("a plan is constrained to the nearest one above that obeys") {
  const SiteUnits of = units({kLayers, {RuleKind::AtLeast, "stem", k8}, {RuleKind::Out, "head"}});
  CHECK(of.constrain({{k4, k4, k8, k4, k4, k4, k4, k4}}) == Plan{{k8, k8, k8, k8, k4, k4, k4, k16}});
  CHECK(of.obeys(Plan::uniform(8, k16)));
  CHECK_FALSE(of.obeys(Plan::uniform(8, k8)));
}

TEST_CASE("sites left out stay at the highest precision there is to choose from") {
  const SiteUnits of = units({{RuleKind::Out, "head"}}, {k8, k4});
  CHECK(of.expand(Plan::uniform(7, k4))[7] == k8);
  CHECK(of.constrain(Plan::uniform(8, k4))[7] == k8);
  CHECK(of.obeys(Plan::uniform(8, k16)));
}

TEST_CASE("without rules every site is a unit and every plan obeys") {
  const SiteUnits of = units({});
  CHECK(of.units().size() == 8);
  CHECK(of.fixed().empty());
  const Plan plan{{k4, k8, k16, k4, k8, k16, k4, k8}};
  CHECK(of.expand(plan) == plan);
  CHECK(of.contract(plan) == plan);
  CHECK(of.obeys(plan));
}

TEST_CASE("rules that no precision can meet, or that leave nothing to lower, are refused") {
  CHECK_THAT(failure([] {
               (void)units({{RuleKind::AtLeast, "stem"}}, {k8, k4});
             }).text,
             Contains("rule at least 16 bits \"stem\": the precisions to choose from are 8, 4, none of them as high: "
                      "add 16, or ask for less"));
  CHECK_THAT(failure([] {
               (void)units({{RuleKind::Out, ".*"}});
             }).text,
             Contains("the rules leave none of the 8 sites to lower"));
}

TEST_CASE("whatever the rules, an expanded plan obeys them and constraining twice changes nothing") {
  std::mt19937 random(7);
  for (int round = 0; round < 100; ++round) {
    std::vector<SiteRule> rules;
    for (int k = 0; k < 4; ++k) {
      std::string pattern = "stem|" + kSites[1 + random() % 7].name + "|" + kSites[1 + random() % 7].name;
      if (k > 0) pattern = kSites[1 + random() % 6].name + "|" + kSites[0].name;
      rules.push_back({static_cast<RuleKind>(random() % 2), pattern, kThree[1 + random() % 2]});
    }
    const SiteUnits of = units(rules);
    Plan plan;
    for (std::size_t i = 0; i < kSites.size(); ++i) plan.precisions.push_back(kThree[random() % 3]);
    const Plan near = of.constrain(plan);
    CHECK(of.obeys(near));
    CHECK(of.expand(of.contract(near)) == near);
    for (std::size_t i = 0; i < plan.size(); ++i) CHECK(near[i] >= plan[i]);
    for (const auto& [rule, groups] : of.rules())
      for (const auto& group : groups)
        for (const std::size_t site : group) {
          if (rule.kind == RuleKind::Together) CHECK(near[site] == near[group.front()]);
          if (rule.kind == RuleKind::AtLeast) CHECK(near[site] >= rule.precision);
        }
  }
}
