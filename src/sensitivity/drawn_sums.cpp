#include "sensitivity/drawn_sums.hpp"

#include <algorithm>
#include <cmath>

#include "halftone/core/error.hpp"

namespace halftone::internal {

namespace {

double mean(const std::vector<std::vector<double>>& draws, std::size_t quantity) {
  double sum = 0;
  for (const auto& draw : draws) sum += draw[quantity];
  return sum / static_cast<double>(draws.size());
}

}  // namespace

std::vector<std::string> validate_draws(const DrawLimits& limits, const std::string& name, std::int64_t least) {
  std::vector<std::string> violations;
  if (limits.draws < least)
    violations.push_back(
        message(name, " is ", limits.draws, ": at least ", least, least == 1 ? " is needed" : " are needed"));
  if (limits.most_draws < limits.draws)
    violations.push_back(
        message("most_", name, " is ", limits.most_draws, ": at least ", name, ", ", limits.draws, ", are needed"));
  if (!(limits.standard_error > 0))
    violations.push_back(message("standard_error is ", limits.standard_error, ": a share above 0 is needed"));
  return violations;
}

DrawnSums::DrawnSums(std::int64_t batches, std::size_t quantities)
    : quantities_(quantities), batches_(static_cast<std::size_t>(batches)) {}

void DrawnSums::add(std::int64_t batch, const std::vector<double>& quantities) {
  batches_[static_cast<std::size_t>(batch)].push_back(quantities);
}

double DrawnSums::estimate(std::size_t quantity) const {
  double sum = 0;
  for (const auto& draws : batches_) sum += mean(draws, quantity);
  return sum;
}

double DrawnSums::standard_error(std::size_t quantity) const {
  double variance = 0;
  for (const auto& draws : batches_) {
    const double center = mean(draws, quantity);
    const auto n = static_cast<double>(draws.size());
    for (const auto& draw : draws) variance += std::pow(draw[quantity] - center, 2) / (n * std::max(n - 1, 1.0));
  }
  return std::sqrt(variance);
}

std::int64_t DrawnSums::more(const DrawLimits& limits) const {
  if (draws() < limits.draws) return limits.draws - draws();
  double worst = 0;
  for (std::size_t i = 0; i < quantities_; ++i) {
    const double error = standard_error(i);
    if (error > 0) worst = std::max(worst, error / (limits.standard_error * std::abs(estimate(i))));
  }
  if (worst <= 1) return 0;
  // The variance falls with the number of draws; early estimates of it are not to be trusted far.
  constexpr double kMargin = 1.1;
  constexpr double kMostGrowth = 4;
  const auto now = static_cast<double>(draws());
  const double wanted = std::ceil(now * std::min(kMostGrowth, kMargin * worst * worst));
  return std::min(static_cast<std::int64_t>(wanted), limits.most_draws) - draws();
}

}  // namespace halftone::internal
