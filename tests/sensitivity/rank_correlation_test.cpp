#include "halftone/sensitivity/rank_correlation.hpp"

#include <cmath>
#include <vector>

#include "failure.hpp"

using namespace halftone;

namespace {

std::optional<double> rho(const std::vector<double>& a, const std::vector<double>& b) { return rank_correlation(a, b); }

}  // namespace

TEST_CASE("rank correlation heeds order alone") {
  CHECK(rho({1, 2, 3, 4}, {0.1, 0.2, 30, 31}) == 1);
  CHECK(rho({1, 2, 3, 4}, {4, 3, 2, -1}) == -1);
  CHECK(*rho({1, 2, 3, 4, 5}, {2, 1, 4, 3, 5}) == Approx(0.8));  // 1 - 6 x 4 / (5 x 24)
  CHECK(rho({5, 1, 3}, {5, 1, 3}) == rho({3, 5, 1}, {3, 5, 1}));
}

TEST_CASE("equal values share their mean rank") {
  // Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: 4.5 / sqrt(4.5 x 5).
  CHECK(*rho({1, 2, 2, 3}, {1, 2, 3, 4}) == Approx(0.9486833));
  CHECK(*rho({0, 0, 1, 1}, {1, 1, 0, 0}) == Approx(-1));
}

TEST_CASE("without two different values there is no rank correlation") {
  CHECK_FALSE(rho({1, 1, 1}, {1, 2, 3}));
  CHECK_FALSE(rho({1}, {2}));
  CHECK_FALSE(rho({}, {}));
  CHECK(failure([] { (void)rho({1, 2}, {1}); }).code == Errc::InvalidArgument);
}

TEST_CASE("NaN has no rank") {
  const double nan = std::nan("");
  const auto failed = failure([&] { (void)rho({1, 2, 3}, {1, nan, 3}); });
  CHECK(failed.code == Errc::NonFinite);
  CHECK(failed.text == "rank correlation: value 1 is NaN, which has no rank: leave it out");
  CHECK(failure([&] { (void)rho({nan, 2}, {1, 2}); }).code == Errc::NonFinite);
}
