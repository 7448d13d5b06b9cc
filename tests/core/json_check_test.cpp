#include <string>

#include "catch.hpp"
#include "core/json_field.hpp"

using Catch::Contains;
using halftone::internal::parse_json;

namespace {

std::string refusal(const std::string& text, int deepest) {
  return error_message([&] { parse_json(text, "x.json", deepest); });
}

}  // namespace

TEST_CASE("JSON may be as deep as its limit, and an empty container one deeper") {
  for (const char* const text : {"[[[1]]]", "[[[[]]]]", R"({"a": {"b": {"c": null}}})", R"([[{"a": {}}]])"})
    CHECK_NOTHROW(parse_json(text, "x.json", 3));
  for (const char* const text : {"[[[[1]]]]", "[[[[[]]]]]", R"([[[{"a": "b"}]]])", R"([[], {"a": [[[true]]]}])"})
    CHECK_THAT(refusal(text, 3), Contains("x.json: nested too deep"));
}

TEST_CASE("a key may stand once in an object, and in as many objects as there are") {
  CHECK_NOTHROW(parse_json(R"({"a": {"a": [{"a": 1}, {"a": 2}]}, "b": {"a": 3}})", "x.json"));
  CHECK_THAT(refusal(R"({"a": {"b": 1, "c": [{"b": 2}], "b": 3}})", 8), Contains("key \"b\" is given twice"));
}

// A time that grows with the square of their number would be a quarter of an hour.
TEST_CASE("a million objects in one array are read") {
  std::string text = "[{}";
  for (int i = 1; i < 1000000; ++i) text += ",{}";
  CHECK(parse_json(text + "]", "x.json").size() == 1000000);
}
