#include "halftone/order/ordering.hpp"

#include <limits>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

SensitivityTable table() {
  return {.metric = "toy",
          .scores = {{{k8, 3}, {k4, 0}}, {{k8, 1}, {k4, 5}}, {{k8, 1}, {k4, -2}}, {{k8, 0}, {k4, 0}}, {{k8, 2}}}};
}

const Plan kPlan = Plan::uniform(5, k16);

}  // namespace

TEST_CASE("sites are ordered by score at the target precision, ties by position") {
  const SensitivityTable scores = table();
  const OrderFn order = order_by_score(scores);
  CHECK(order(kPlan, k8, {0, 1, 2, 3, 4}) == Ordering{3, 1, 2, 4, 0});
  CHECK(order(kPlan, k4, {0, 1, 2, 3}) == Ordering{2, 0, 3, 1});
}

TEST_CASE("only the sites asked for are ordered, however they are listed") {
  const SensitivityTable scores = table();
  CHECK(order_by_score(scores)(kPlan, k8, {4, 2, 1}) == Ordering{1, 2, 4});
  CHECK(order_by_score(scores)(kPlan, k8, {}).empty());
}

TEST_CASE("a score that is missing or not finite is named") {
  SensitivityTable scores = table();
  const OrderFn order = order_by_score(scores);
  const Failure precision = failure([&] { return order(kPlan, k4, {3, 4}); });
  CHECK(precision.code == Errc::InvalidArgument);
  CHECK_THAT(precision.text, Contains("\"toy\" has no score of site 4 at precision 4"));
  const Failure site = failure([&] { return order(kPlan, k8, {5}); });
  CHECK(site.code == Errc::InvalidArgument);
  CHECK_THAT(site.text, Contains("site 5 is beyond the 5 sites"));
  scores.scores[0][k8] = std::numeric_limits<double>::quiet_NaN();
  const Failure value = failure([&] { return order(kPlan, k8, {0, 1}); });
  CHECK(value.code == Errc::NonFinite);
  CHECK_THAT(value.text, Contains("scores site 0 at precision 8 with nan"));
}
