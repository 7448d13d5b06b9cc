#include "halftone/sensitivity/pair_matrix.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <random>
#include <vector>

#include "failure.hpp"

using namespace halftone;
using Catch::Matchers::Contains;
using Catch::Matchers::WithinAbs;
using nlohmann::json;

namespace {

constexpr std::size_t kSites = 4;

/// Symmetric, of both signs.
PairMatrix example() {
  std::mt19937 generator(3);
  std::uniform_real_distribution<double> number(-1, 1);
  const std::size_t rows = 2 * kSites;
  std::vector<double> values(rows * rows);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j <= i; ++j) values[i * rows + j] = values[j * rows + i] = number(generator);
  return PairMatrix(kSites, {k8, k4}, std::move(values), 0.25);
}

}  // namespace

TEST_CASE("rows go site by site, precision by precision; 16 bits have no part") {
  const PairMatrix matrix = example();
  CHECK(matrix.at(0, k4, 3, k8) == matrix.values()[1 * 8 + 6]);
  CHECK(matrix.at(2, k8, 2, k8) == matrix.values()[4 * 8 + 4]);
  CHECK(matrix.at(2, k16, 1, k8) == 0);
  CHECK(matrix.at(2, k8, 1, k16) == 0);
  CHECK_THAT(failure([&] { (void)matrix.at(1, kW4A8, 0, k8); }).text, Contains("site 1 at precision w4a8"));
  CHECK(failure([&] { (void)matrix.at(4, k8, 0, k8); }).code == Errc::InvalidArgument);
}

TEST_CASE("predicted damage is half the quadratic form, scaled, and an increase is a difference of two") {
  const PairMatrix matrix = example();
  const std::vector<Precision> choices{k16, k8, k4};
  for (int code = 0; code < 81; ++code) {
    Plan plan = Plan::uniform(kSites, k16);
    for (int rest = code, site = 0; site < 4; ++site, rest /= 3)
      plan[static_cast<std::size_t>(site)] = choices[static_cast<std::size_t>(rest % 3)];
    double expected = 0;
    for (std::size_t i = 0; i < kSites; ++i)
      for (std::size_t j = 0; j < kSites; ++j) expected += 0.25 / 2 * matrix.at(i, plan[i], j, plan[j]);
    CHECK_THAT(matrix.damage(plan), WithinAbs(expected, 1e-12));
    for (std::size_t site = 0; site < kSites; ++site)
      for (const Precision target : choices) {
        Plan lowered = plan;
        lowered[site] = target;
        CHECK_THAT(matrix.increase(plan, site, target), WithinAbs(matrix.damage(lowered) - matrix.damage(plan), 1e-12));
      }
  }
}

TEST_CASE("a pair matrix survives JSON bit for bit") {
  const PairMatrix matrix = example();
  const auto read = json::parse(json(matrix).dump()).get<PairMatrix>();
  CHECK(read.values() == matrix.values());
  CHECK(read.precisions() == matrix.precisions());
  CHECK(read.sites() == matrix.sites());
  CHECK(read.scale() == matrix.scale());
}

TEST_CASE("a pair matrix of another size, or not finite, is refused") {
  CHECK_THAT(failure([] { PairMatrix(2, {k8}, {1, 2, 3}); }).text, Contains("3 values, 4 are needed"));
  CHECK(failure([] { PairMatrix(1, {k8}, {std::nan("")}); }).code == Errc::NonFinite);
  json bad = example();
  bad["values"].erase(0);
  CHECK_THAT(failure([&] { (void)bad.get<PairMatrix>(); }).text, Contains("64 numbers are needed"));
  bad = example();
  bad["sites"] = 1'000'000'000;
  CHECK_THAT(failure([&] { (void)bad.get<PairMatrix>(); }).text, Contains("pairs.sites"));
  bad = example();
  bad["precisions"][1] = "8";
  CHECK_THAT(failure([&] { (void)bad.get<PairMatrix>(); }).text,
             Contains("precisions[1] is \"8\": it is listed twice"));
  CHECK_THAT(failure([] {
               PairMatrix(1, {k8, k4, k8}, std::vector<double>(9));
             }).text,
             Contains("precision 8 is listed twice"));
  // 2^32 rows, whose square is 0 in 64 bits.
  CHECK_THAT(failure([] { PairMatrix(std::size_t{1} << 32U, {k8}, {}); }).text, Contains("at most 100000"));
}
