#include "latency/ridge.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <limits>
#include <utility>

namespace halftone::internal {
namespace {

/// Keeps columns that are always alike, or never used, from making the equations singular.
constexpr double kSlight = 1e-6;

RidgeFit fit_with(const Matrix& rows, const Vector& values, Eigen::Index first_penalised, double strength) {
  const Eigen::Index n = rows.rows();
  const Eigen::Index p = rows.cols();
  Matrix design(n, p + 1);
  design << Vector::Ones(n), rows;
  Vector penalty = Vector::Constant(p + 1, kSlight);
  penalty[0] = 0;
  penalty.tail(p - first_penalised).setConstant(strength);
  const Matrix normal = design.transpose() * design + Matrix(penalty.asDiagonal());
  const Eigen::LDLT<Matrix> solver(normal);
  const Vector solution = solver.solve(design.transpose() * values);
  const Vector residuals = values - design * solution;
  // The k-th diagonal element of the matrix that maps values to fitted values.
  const Vector leverage = (design * solver.solve(design.transpose())).diagonal();
  RidgeFit fit{solution[0], solution.tail(p), Vector(n)};
  for (Eigen::Index k = 0; k < n; ++k) fit.left_out[k] = residuals[k] / std::max(1 - leverage[k], kSlight);
  return fit;
}

}  // namespace

RidgeFit fit_ridge(const Matrix& rows, const Vector& values, Eigen::Index first_penalised) {
  RidgeFit best;
  double least = std::numeric_limits<double>::infinity();
  for (double strength = 100; strength > 2e-3; strength /= 3) {
    RidgeFit fit = fit_with(rows, values, first_penalised, strength);
    const double error = fit.left_out.squaredNorm();
    if (error < least) {
      least = error;
      best = std::move(fit);
    }
  }
  return best;
}

}  // namespace halftone::internal
