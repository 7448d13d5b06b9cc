#include "calibrate/weight_range.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "halftone/quant/fake_quantize.hpp"

namespace halftone::internal {

namespace {

/// Rows taken together, so that the temporaries of one candidate stay in cache.
constexpr std::int64_t kElementsAtOnce = 32768;

std::vector<double> to_vector(const at::Tensor& numbers) {
  const at::Tensor copy = numbers.to(at::kCPU, at::kDouble).contiguous();
  return {copy.const_data_ptr<double>(), copy.const_data_ptr<double>() + copy.numel()};
}

/// Sum of squared errors of every row [rows], float64, on the CPU; rows [rows, n], bounds float64 on the CPU.
at::Tensor squared_errors(const at::Tensor& rows, const at::Tensor& bounds, int bits) {
  std::vector<float> scales;
  for (const double bound : to_vector(bounds)) scales.push_back(weight_params(bound, bits).scale);
  const at::Tensor scale = at::tensor(at::ArrayRef<float>(scales), at::kFloat).to(rows.device());
  at::Tensor error = fake_quantize_channels(rows, scale, (1 << (bits - 1)) - 1, 0).sub_(rows);
  return error.square_().sum(1, false, at::kDouble).to(at::kCPU);
}

at::Tensor best_bounds(const at::Tensor& rows, const at::Tensor& largest, int bits, int candidates) {
  at::Tensor best = largest;
  at::Tensor least = squared_errors(rows, largest, bits);
  for (int k = candidates - 1; k > 0; --k) {
    const at::Tensor bounds = largest * (static_cast<double>(k) / candidates);
    const at::Tensor errors = squared_errors(rows, bounds, bits);
    const at::Tensor better = errors.lt(least);
    best = at::where(better, bounds, best);
    least = at::where(better, errors, least);
  }
  return best;
}

/// The least bound that holds `percentile` percent of every row; the row's largest magnitude where that is 0.
at::Tensor percentile_bounds(const at::Tensor& rows, const at::Tensor& largest, double percentile) {
  const std::int64_t size = rows.size(1);
  // Rounding must not turn 99 % of 100 values into 99.0000001 of them.
  const auto inside = static_cast<std::int64_t>(std::ceil(percentile / 100 * static_cast<double>(size) - 1e-6));
  const auto [values, indices] = rows.abs().kthvalue(std::clamp<std::int64_t>(inside, 1, size), 1);
  const at::Tensor bounds = values.to(at::kCPU, at::kDouble);
  return at::where(bounds.gt(0), bounds, largest);
}

at::Tensor bounds_of(const at::Tensor& rows, int bits, const RangeOptions& options) {
  const at::Tensor largest = rows.abs().amax(1).to(at::kCPU, at::kDouble);
  switch (options.method) {
    case RangeMethod::Max:
      return largest;
    case RangeMethod::Percentile:
      return percentile_bounds(rows, largest, options.percentile);
    case RangeMethod::MeanSquaredError:
      return best_bounds(rows, largest, bits, options.candidates);
    case RangeMethod::Automatic:
      break;  // refused before
  }
  return largest;
}

}  // namespace

WeightRange choose_weight_range(const at::Tensor& weight, int channel_axis, int bits, const RangeOptions& options) {
  const at::Tensor rows = weight.detach().movedim(channel_axis, 0).flatten(1).to(at::kFloat).contiguous();
  const std::int64_t rows_at_once =
      std::max<std::int64_t>(1, kElementsAtOnce / std::max<std::int64_t>(1, rows.size(1)));
  WeightRange range;
  double sum = 0;
  for (const at::Tensor& part : rows.split(rows_at_once)) {
    const at::Tensor bounds = bounds_of(part, bits, options);
    for (const double error : to_vector(squared_errors(part, bounds, bits))) sum += error;
    const std::vector<double> numbers = to_vector(bounds);
    range.bounds.insert(range.bounds.end(), numbers.begin(), numbers.end());
  }
  range.mean_squared_error = sum / static_cast<double>(rows.numel());
  return range;
}

}  // namespace halftone::internal
