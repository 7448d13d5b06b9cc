#include "halftone/data/weight_names.hpp"

#include <string>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using Names = std::vector<std::string>;

namespace {

WeightNames rules(const Names& texts) {
  WeightNames names;
  for (const auto& text : texts) names.add(text);
  return names;
}

std::string refusal(const Names& texts, const Names& names) {
  const Failure bad = failure([&] { static_cast<void>(rules(texts).map(names)); });
  CHECK(bad.code == Errc::InvalidArgument);
  return bad.text;
}

}  // namespace

TEST_CASE("names stay where there are no rules") {
  CHECK(WeightNames().empty());
  CHECK(WeightNames().map({"a", "b"}) == Names{"a", "b"});
}

TEST_CASE("rules apply one after the other, everywhere in a name, with groups") {
  CHECK(rules({"^backbone\\.=", "layers=layer"}).map({"backbone.layers.0.layers", "fc.w"}) ==
        Names{"layer.0.layer", "fc.w"});
  CHECK(rules({"a=b", "b=c"}).map({"a"}) == Names{"c"});
  CHECK(rules({"blocks\\.(\\d+)\\.=layer$1."}).map({"blocks.12.w"}) == Names{"layer12.w"});
  CHECK(rules({"w(?=x)=v"}).map({"wxw"}) == Names{"vxw"});  // split at the last =
}

TEST_CASE("any number of names may become empty: their tensors are left out") {
  CHECK(rules({"^ids.*="}).map({"ids", "w", "ids2"}) == Names{"", "w", ""});
}

TEST_CASE("rules are read from a JSON file") {
  const TempDir dir;
  const auto path = dir.write("rules.json", R"([["^model\\.", ""], ["a=", "b"]])");
  CHECK(rules({path.string()}).map({"model.a=1"}) == Names{"b1"});
  const auto refused = [&](const char* text) {
    const auto bad_path = dir.write("bad.json", text);
    return failure([&] { rules({bad_path.string()}); });
  };
  CHECK(refused("{}").code == Errc::BadFile);
  CHECK_THAT(refused("[[1, \"\"]]").text, Contains("bad.json") && Contains("[1,\"\"] is no rule"));
  CHECK_THAT(refused("[[\"a\"]]").text, Contains("two texts"));
  CHECK_THAT(refused("[[\"(\", \"\"]]").text, Contains("regular expression"));
  CHECK(failure([&] { rules({(dir / "none.json").string()}); }).code == Errc::NotFound);
}

TEST_CASE("two names that would become one are both named") {
  CHECK_THAT(refusal({"[12]$=x"}, {"w1", "b", "w2"}), Contains("\"w1\" and \"w2\" would both be called \"wx\""));
  CHECK_THAT(refusal({"^a$=b"}, {"a", "b"}), Contains("\"a\" and \"b\""));
}

TEST_CASE("rules that cannot do anything are refused") {
  CHECK_THAT(refusal({"nothing"}, {"a"}), Contains("FROM=TO is needed"));
  CHECK_THAT(refusal({"=x"}, {"a"}), Contains("FROM=TO is needed"));
  CHECK_THAT(refusal({"(=x"}, {"a"}), Contains("\"(\" is no regular expression"));
  CHECK_THAT(refusal({"c=x"}, {"a", "b"}), Contains("matches no tensor") && Contains("\"a\""));
  CHECK_THAT(refusal({"a=x"}, {std::string(1001, 'a')}), Contains("1001 bytes"));
  CHECK(rules({"a+=x"}).map({std::string(1000, 'a')}) == Names{"x"});
}
