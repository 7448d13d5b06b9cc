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

/// Least squares of `values` [n] on an intercept and the columns of `rows` [n, p], those from `first_penalised` on
/// drawn towards 0, as strongly as predicts best what is left out (PRESS over a grid). Cost: n^2 p for each of ten
/// strengths.
RidgeFit fit_ridge(const Matrix& rows, const Vector& values, Eigen::Index first_penalised);

}  // namespace halftone::internal
