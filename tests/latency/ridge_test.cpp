#include "latency/ridge.hpp"

#include <Eigen/QR>
#include <random>

#include "catch.hpp"

using namespace halftone::internal;

namespace {

/// A problem of 0s and -1s, as plans give them, and of values that a few columns explain but for noise.
struct Problem {
  Problem(Eigen::Index samples, Eigen::Index columns, unsigned seed) : rows(samples, columns), values(samples) {
    std::mt19937 random(seed);
    std::normal_distribution<double> noise(0, 0.1);
    for (Eigen::Index i = 0; i < samples; ++i) {
      for (Eigen::Index k = 0; k < columns; ++k) rows(i, k) = random() % 2 == 0 ? 0 : -1;
      values[i] = 10 + rows(i, 0) + 0.5 * rows(i, columns - 1) + noise(random);
    }
  }

  [[nodiscard]] Problem without(Eigen::Index sample) const {
    Problem rest = *this;
    const auto below = rows.rows() - sample - 1;
    rest.rows = Matrix(rows.rows() - 1, rows.cols());
    rest.values = Vector(values.size() - 1);
    rest.rows << rows.topRows(sample), rows.bottomRows(below);
    rest.values << values.head(sample), values.tail(below);
    return rest;
  }

  Matrix rows;
  Vector values;
};

double predict(const RidgeFit& fit, const Vector& row) { return fit.intercept + row.dot(fit.coefficients); }

}  // namespace

TEST_CASE("what is left out is predicted as by fitting all but it") {
  for (const auto& [samples, columns] : {std::pair(20, 6), std::pair(12, 30), std::pair(5, 3)})
    for (const double strength : {100.0, 1.0, 0.01}) {
      CAPTURE(samples, columns, strength);
      const Problem problem(samples, columns, 5);
      const RidgeFit fit = fit_ridge(problem.rows, problem.values, 2, strength);
      for (Eigen::Index k = 0; k < samples; ++k) {
        const Problem rest = problem.without(k);
        const RidgeFit other = fit_ridge(rest.rows, rest.values, 2, strength);
        CHECK(fit.left_out[k] == Approx(problem.values[k] - predict(other, problem.rows.row(k))).margin(1e-4));
      }
    }
}

TEST_CASE("a tiny strength gives least squares") {
  const Problem problem(40, 7, 6);
  const RidgeFit fit = fit_ridge(problem.rows, problem.values, 3, 1e-9);
  Matrix design(40, 8);
  design << Vector::Ones(40), problem.rows;
  const Vector expected = design.colPivHouseholderQr().solve(problem.values);
  CHECK(fit.intercept == Approx(expected[0]).epsilon(1e-5));
  for (Eigen::Index k = 0; k < 7; ++k) CHECK(fit.coefficients[k] == Approx(expected[k + 1]).margin(1e-5));
}

TEST_CASE("a huge strength leaves nothing of the penalised columns and all of the others") {
  const Problem problem(40, 7, 7);
  const RidgeFit fit = fit_ridge(problem.rows, problem.values, 3, 1e9);
  CHECK(fit.coefficients.tail(4).cwiseAbs().maxCoeff() < 1e-6);
  CHECK(fit.coefficients[0] == Approx(1).margin(0.2));
}

TEST_CASE("the strength chosen predicts what is left out no worse than others do") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const Problem problem(15, 20, seed);
    const double best = fit_ridge(problem.rows, problem.values, 2).left_out.squaredNorm();
    for (const double strength : {100.0, 100.0 / 27, 100.0 / 729})
      CHECK(best <= fit_ridge(problem.rows, problem.values, 2, strength).left_out.squaredNorm() * (1 + 1e-9));
  }
}

TEST_CASE("columns that are all alike, or never used, do no harm") {
  Problem problem(12, 6, 8);
  for (const Eigen::Index same : {1, 2, 4}) problem.rows.col(same) = problem.rows.col(0);
  problem.rows.col(3).setZero();
  const RidgeFit fit = fit_ridge(problem.rows, problem.values, 3);
  CHECK(fit.coefficients.allFinite());
  CHECK(fit.coefficients.cwiseAbs().maxCoeff() < 2);
  CHECK(fit.coefficients[3] == Approx(0).margin(1e-9));
  for (Eigen::Index k = 0; k < 12; ++k)
    CHECK(predict(fit, problem.rows.row(k)) == Approx(problem.values[k]).margin(0.5));
}
