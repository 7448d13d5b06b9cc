#include "halftone/evaluate/gate.hpp"

#include <string>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

TEST_CASE("the share to keep reads alike as a percentage and as a fraction") {
  CHECK(parse_keep("99.9%") == 0.999);
  CHECK(parse_keep("99.9%") == parse_keep("0.999"));
  CHECK(parse_keep("99.99%") == 0.9999);
  CHECK(parse_keep("100%") == 1);
  CHECK(parse_keep("1") == 1);
  CHECK(parse_keep("1%") == 0.01);
}

TEST_CASE("shares that keep nothing, more than all, or are no numbers are refused") {
  const std::pair<std::string, std::string> cases[] = {
      {"120%", "at most 100 %"},     {"0", "keeps nothing"},
      {"-1%", "keeps nothing"},      {"0%", "keeps nothing"},
      {"nan", "is not a number"},    {"inf", "is not a number"},
      {"", "is not a number"},       {"%", "is not a number"},
      {"99.9%%", "is not a number"}, {"0.9x", "is not a number"},
      {"99,9%", "is not a number"},  {" 0.9", "is not a number"},
      {"1e400", "is not a number"},  {"99.9", "did you mean \"99.9%\"?"},
      {"120", "at most 100 %"},
  };
  for (const auto& [text, expected] : cases) {
    const Failure f = failure([&text = text] { return parse_keep(text); });
    CHECK(f.code == Errc::InvalidArgument);
    CHECK_THAT(f.text, Contains("keep \"" + text + '"') && Contains(expected));
  }
}

TEST_CASE("a gate passes what keeps the stated share, equality included") {
  const Gate gate{.keep = 0.9};
  CHECK(gate.passes({.score = 0.9}, {.score = 1.0}));
  CHECK(gate.passes({.score = 0.9 * 0.7}, {.score = 0.7}));
  CHECK_FALSE(gate.passes({.score = 0.8999}, {.score = 1.0}));
  CHECK(Gate{.keep = 1}.passes({.score = 0.5}, {.score = 0.5}));
}
