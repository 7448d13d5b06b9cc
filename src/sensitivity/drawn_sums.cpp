#include "sensitivity/drawn_sums.hpp"

#include <algorithm>
#include <cmath>

#include "halftone/core/error.hpp"
#include "sensitivity/round_trip.hpp"
#include "sensitivity/spread.hpp"

namespace halftone::internal {

std::string identity_of(const std::string& metric, const DrawLimits& limits) {
  return message(metric, ' ', limits.draws, ' ', limits.most_draws, ' ', round_trip(limits.standard_error));
}

std::vector<std::string> validate_draws(const DrawLimits& limits, const std::string& name) {
  std::vector<std::string> violations;
  if (limits.draws < 2) violations.push_back(message(name, " is ", limits.draws, ": at least 2 are needed"));
  if (limits.most_draws < limits.draws)
    violations.push_back(
        message("most_", name, " is ", limits.most_draws, ": at least ", name, ", ", limits.draws, ", are needed"));
  if (!(limits.standard_error > 0))
    violations.push_back(message("standard_error is ", limits.standard_error, ": a share above 0 is needed"));
  return violations;
}

DrawnSums::DrawnSums(std::int64_t batches, std::size_t quantities)
    : batches_(static_cast<std::size_t>(batches), std::vector<std::vector<double>>(quantities)) {}

void DrawnSums::add(std::int64_t batch, std::span<const double> draws) {
  auto& of_batch = batches_[static_cast<std::size_t>(batch)];
  for (std::size_t i = 0; i < draws.size(); ++i) of_batch[i % of_batch.size()].push_back(draws[i]);
}

double DrawnSums::estimate(std::size_t quantity) const {
  double sum = 0;
  for (const auto& of_batch : batches_) sum += mean(of_batch[quantity]);
  return sum;
}

double DrawnSums::standard_error(std::size_t quantity) const {
  double variance = 0;
  for (const auto& of_batch : batches_) variance += variance_of_mean(of_batch[quantity]);
  return std::sqrt(variance);
}

std::int64_t DrawnSums::more(const DrawLimits& limits) const {
  if (draws() < limits.draws) return limits.draws - draws();
  double worst = 0;
  for (std::size_t i = 0; i < batches_.front().size(); ++i) {
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
