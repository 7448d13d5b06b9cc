#pragma once

#include <cstddef>
#include <span>

namespace halftone::internal {

/// Of at least one number.
inline double mean(std::span<const double> numbers) {
  double sum = 0;
  for (const double number : numbers) sum += number;
  return sum / static_cast<double>(numbers.size());
}

/// Of the mean of at least two independent numbers: the square of its standard error.
inline double variance_of_mean(std::span<const double> numbers) {
  const double center = mean(numbers);
  double squares = 0;
  for (const double number : numbers) squares += (number - center) * (number - center);
  const auto n = static_cast<double>(numbers.size());
  return squares / (n - 1) / n;
}

}  // namespace halftone::internal
