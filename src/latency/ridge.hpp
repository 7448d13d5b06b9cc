#pragma once

#include <Eigen/Core>

namespace halftone::internal {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

struct RidgeFit {
  double intercept = 0;
  Vector coefficients;
  Vector left_out;  ///< error of predicting each sample from the others
};

/// Least squares of `values` [n] on an intercept and the columns of `rows` [n, p]; `strength` times the sum of squares
/// of the coefficients from `first_penalised` on is added to what is made least. Cost: p^2 (n + p).
RidgeFit fit_ridge(const Matrix& rows, const Vector& values, Eigen::Index first_penalised, double strength);

/// The same at the one of ten strengths that predicts best what is left out: with the least sum of squares of
/// `left_out` (PRESS).
RidgeFit fit_ridge(const Matrix& rows, const Vector& values, Eigen::Index first_penalised);

}  // namespace halftone::internal
