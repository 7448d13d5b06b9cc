#include "halftone/graph/site_rules.hpp"

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "failure.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

std::vector<Site> named(const std::vector<std::string>& names) {
  std::vector<Site> sites;
  for (const auto& name : names) sites.emplace_back().name = name;
  return sites;
}

const std::vector<Site> kBert = named({"layer.0.attention.query", "layer.0.attention.key", "layer.0.output",
                                       "layer.1.attention.query", "layer.1.attention.key", "pooler"});

using Groups = std::vector<std::vector<std::size_t>>;

SiteRule together(const std::string& pattern) { return {RuleKind::Together, pattern}; }

Failure refused(const SiteRule& rule) {
  Failure found = failure([&] { (void)apply_rule(rule, kBert); });
  CHECK(found.code == Errc::InvalidArgument);
  return found;
}

std::vector<SiteRule> parsed(const std::string& rules) {
  return parse_site_rules(R"({"version": 1, "rules": )" + rules + "}", "\"rules.json\"");
}

std::string misread(const std::string& rules) {
  const Failure found = failure([&] { (void)parsed(rules); });
  CHECK(found.code == Errc::BadFile);
  return found.text;
}

}  // namespace

TEST_CASE("a rule with a capture makes a group for every text captured, one without makes one group") {
  CHECK(apply_rule(together(R"((.*)\.attention\.(query|key))"), kBert).groups == Groups{{0, 1}, {3, 4}});
  CHECK(apply_rule(together(R"(.*\.attention\.(?:query|key))"), kBert).groups == Groups{{0, 1, 3, 4}});
  CHECK(apply_rule(together(R"(layer\.(\d)\..*)"), kBert).groups == Groups{{0, 1, 2}, {3, 4}});
  CHECK(apply_rule(together("(pooler|layer.0).*|layer.1.*key"), kBert).groups == Groups{{0, 1, 2}});
}

TEST_CASE("rules of one site and more match whole names, and captures do not part them") {
  CHECK(apply_rule({RuleKind::AtLeast, "(.*)[.]output|pooler", k8}, kBert).groups == Groups{{2, 5}});
  CHECK(apply_rule({RuleKind::Out, "pooler"}, kBert).groups == Groups{{5}});
  CHECK_THAT(refused({RuleKind::Out, "poole"}).text, Contains("matches none"));
}

TEST_CASE("a rule that matches nothing says which names are nearest") {
  CHECK_THAT(
      refused({RuleKind::AtLeast, R"(layer\.0\.atention\.query)"}).text,
      Contains(R"(rule at least 16 bits "layer\.0\.atention\.query": it matches none of the 6 sites; the nearest )"
               R"(are "layer.0.attention.query", "layer.1.attention.query", "layer.0.attention.key". A pattern )"
               "matches whole names"));
}

TEST_CASE("a rule that puts no two sites together is refused") {
  CHECK_THAT(refused(together("pooler")).text, Contains("together \"pooler\": no two sites are together by it: one"));
  CHECK_THAT(refused(together("(.*)")).text, Contains("each that matches has a first capture of its own"));
}

TEST_CASE("patterns that are wrong, or cost too much, are refused") {
  CHECK_THAT(refused(together("layer(")).text, Contains("is no regular expression"));
  CHECK_THAT(refused(together(R"((layer).*\1)")).text, Contains("without back references"));
  CHECK_THAT(refused(together("")).text, Contains("1 to 500 characters, not 0"));
  CHECK_THAT(refused(together(std::string(501, 'a'))).text, Contains("1 to 500 characters, not 501"));
  CHECK_THAT(refused(together("(a{1000}){1000}")).text, Contains("counted repetitions"));
  CHECK(apply_rule({RuleKind::Out, R"(a\{2\})"}, named({"a{2}"})).groups == Groups{{0}});
}

TEST_CASE("no pattern takes exponential time, and names of any length end in a sentence") {
  const auto sites = named({std::string(1000, 'a')});
  for (const char* pattern : {"(a*)*b", "(a|a)*b", "(a|aa)+$b", "(.*)(.*)(.*)(.*)(.*)b"})
    CHECK_THAT(failure([&] { (void)apply_rule({RuleKind::Out, pattern}, sites); }).text, Contains("matches none"));
  const auto longer = named({std::string(1001, 'a')});
  CHECK_THAT(failure([&] {
               (void)apply_rule({RuleKind::Out, ".*"}, longer);
             }).text,
             Contains("has a name of 1001 bytes, and 1000 are the most"));
}

TEST_CASE("rules are written and read back the same") {
  const std::vector<SiteRule> rules{{RuleKind::Together, R"((.*)\.(a|b))"},
                                    {RuleKind::AtLeast, "stem", k16},
                                    {RuleKind::AtLeast, "h\"ead", kW4A8},
                                    {RuleKind::Out, "x"}};
  const std::string text = to_text(rules);
  CHECK(parse_site_rules(text, "rules") == rules);
  CHECK(nlohmann::json::parse(text)["rules"][2] == nlohmann::json{{"keep", "h\"ead"}, {"at_least", "w4a8"}});
  const TempDir folder;
  const auto path = folder.path() / "rules.json";
  CHECK(failure([&] { (void)read_site_rules(path); }).code == Errc::NotFound);
}

TEST_CASE("a file of rules that is wrong says where") {
  CHECK_THAT(misread(R"([{"together": 3}])"), Contains(R"("rules.json".rules[0].together is 3: a text is needed)"));
  CHECK_THAT(misread(R"([{"keep": "a"}])"), Contains(R"(rules[0] has no "at_least")"));
  CHECK_THAT(misread(R"([{"keep": "a", "at_least": "17"}])"), Contains("rules[0].at_least: precision \"17\""));
  CHECK_THAT(misread(R"([{"out": "a", "together": "b"}])"), Contains(R"(rules[0] has an unknown key "together")"));
  CHECK_THAT(misread(R"([{"alone": "a"}])"), Contains(R"(rules[0] has no "together")"));
  CHECK_THAT(misread("[3]"), Contains("rules[0] is 3"));
  CHECK_THAT(misread("{}"), Contains("an array is needed"));
  std::string many = "[";
  for (int i = 0; i <= 1000; ++i) many += std::string(i > 0 ? "," : "") + R"({"out": "a"})";
  CHECK_THAT(misread(many + "]"), Contains("at most 1000 rules"));
  CHECK_THAT(failure([] { (void)parse_site_rules(R"({"version": 2, "rules": []})", "rules"); }).text,
             Contains("reads version 1"));
}

TEST_CASE("what to keep is a pattern, with a precision behind the last equals sign") {
  CHECK(parse_at_least("stem") == SiteRule{RuleKind::AtLeast, "stem", k16});
  CHECK(parse_at_least("a=b=w4a8") == SiteRule{RuleKind::AtLeast, "a=b", kW4A8});
  CHECK_THAT(failure([] { (void)parse_at_least("stem=9"); }).text, Contains("precision \"9\" is not known"));
}
