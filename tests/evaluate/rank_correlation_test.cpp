#include "halftone/evaluate/rank_correlation.hpp"

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

TEST_CASE("rank correlations without each position are those of the shorter lists") {
  const std::vector<double> a{3, 1, 2, 2, 5, 1, 2, 9};
  const std::vector<double> b{0.5, 0.25, 0.5, 1, 7, 0, 0.5, 7};
  const auto found = rank_correlation_without_each(a, b);
  REQUIRE(found.size() == a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto x = a;
    auto y = b;
    x.erase(x.begin() + static_cast<std::ptrdiff_t>(i));
    y.erase(y.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(found[i] == Approx(*rho(x, y)));
  }
  CHECK(rank_correlation_without_each(std::vector<double>{1, 2}, std::vector<double>{1, 2}) ==
        std::vector<double>{0, 0});
  CHECK(failure([&] { (void)rank_correlation_without_each(a, std::vector<double>{1}); }).code == Errc::InvalidArgument);
}
