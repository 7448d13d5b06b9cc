#include "halftone/core/precision.hpp"

#include "catch.hpp"
#include "failure.hpp"
#include "halftone/core/dtype.hpp"
#include "halftone/core/options.hpp"
#include "halftone/core/plan.hpp"

using namespace halftone;
using Catch::Contains;

TEST_CASE("every precision reads back from its own text") {
  for (const int weights : {2, 3, 4, 5, 6, 7, 8, 16})
    for (const int activations : {2, 3, 4, 5, 6, 7, 8, 16}) {
      const Precision precision{weights, activations};
      CHECK(parse_precision(to_string(precision)) == precision);
    }
  CHECK(to_string(k16) == "16");
  CHECK(to_string(kW4A8) == "w4a8");
  CHECK(message(k8) == "8");
  CHECK(parse_precision("w8a8") == k8);
}

TEST_CASE("text that is no precision is quoted with what is allowed") {
  for (const char* text :
       {"",    " 8", "8 ", "1",   "9",  "15",  "17",   "32",   "-8",    "+8",    "8.0",  "0x8",
        "fp8", "w4", "a8", "w4a", "wa", "wa8", "w4a9", "w1a8", "w4a8a", "w 4a8", "W4A8", "99999999999999999999"}) {
    const Failure bad = failure([&] { parse_precision(text); });
    CHECK(bad.code == Errc::InvalidArgument);
    CHECK_THAT(bad.text, Contains(message("precision \"", text, "\" is not known")) && Contains("2 to 8 bits"));
  }
}

TEST_CASE("precisions are ordered from highest to lowest") {
  CHECK(parse_precisions("4,8,16") == std::vector{k16, k8, k4});
  CHECK(parse_precisions("4,w4a8,16,8") == std::vector{k16, k8, kW4A8, k4});
}

TEST_CASE("a list of precisions that has no order is refused") {
  const auto text_of = [](const char* list) {
    const Failure bad = failure([&] { parse_precisions(list); });
    CHECK(bad.code == Errc::InvalidArgument);
    return bad.text;
  };
  CHECK_THAT(text_of("8"), Contains("at least two precisions, got 1"));
  CHECK_THAT(text_of("16,8,8"), Contains("precision 8 is listed twice"));
  CHECK_THAT(text_of("16,w4a8,w8a4"), Contains("have no order"));
  CHECK_THAT(text_of("16,w3a8,w4a6"), Contains("precisions w3a8 and w4a6 have no order"));
  CHECK_THAT(text_of("16,,8"), Contains("precision \"\" is not known"));
  CHECK_THAT(text_of("16,8,"), Contains("precision \"\" is not known"));
}

TEST_CASE("plans are equal exactly where their texts are") {
  Plan plan = Plan::uniform(3, k16);
  CHECK(plan.size() == 3);
  CHECK(to_string(plan) == "16 16 16");
  plan[1] = kW4A8;
  CHECK(to_string(plan) == "16 w4a8 16");
  CHECK(plan != Plan::uniform(3, k16));
  CHECK(to_string(Plan{}).empty());
}

TEST_CASE("every element type stands at its own place and reads back from its safetensors name") {
  for (const auto& entry : kDTypes) {
    CHECK(&info(entry.dtype) == &entry);
    CHECK(dtype_from_safetensors(entry.safetensors) == entry.dtype);
  }
  CHECK_FALSE(dtype_from_safetensors("f32"));
  CHECK_FALSE(dtype_from_safetensors(""));
}

TEST_CASE("an error carries its code and its text") {
  const Error error(Errc::NonFinite, message("value ", 1.5, " of ", std::string("x")));
  CHECK(error.code() == Errc::NonFinite);
  CHECK(std::string(error.what()) == "value 1.5 of x");
}

TEST_CASE("violated options are listed all at once") {
  CHECK_NOTHROW(require_valid("things", {}));
  CHECK(failure([] { require_valid("search options", {"a is 0: it must be positive"}); }).text ==
        "invalid search options: a is 0: it must be positive");
  const Failure two = failure([] { require_valid("search options", {"a is bad", "b is bad"}); });
  CHECK(two.code == Errc::InvalidArgument);
  CHECK(two.text == "invalid search options:\n  a is bad\n  b is bad");
}
