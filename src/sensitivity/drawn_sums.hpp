#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace halftone::internal {

/// When to stop drawing.
struct DrawLimits {
  std::int64_t draws = 2;  ///< at least, of every batch
  std::int64_t most_draws = 2;
  double standard_error = 0;  ///< as a share of the estimate, for every quantity
};

/// `metric` and the limits, with all digits.
std::string identity_of(const std::string& metric, const DrawLimits& limits);

/// What is wrong with limits that an option `name` and "most_" + `name` set; one draw has
/// no spread, so at least 2 are needed.
std::vector<std::string> validate_draws(const DrawLimits& limits, const std::string& name);

/// Quantities that are sums over batches, each estimated by the mean of independent draws of every batch.
class DrawnSums {
 public:
  DrawnSums(std::int64_t batches, std::size_t quantities);

  /// More draws of a batch, all quantities of one behind those of the other; may be called in parallel for different
  /// batches.
  void add(std::int64_t batch, std::span<const double> draws);

  [[nodiscard]] double estimate(std::size_t quantity) const;
  /// Of the estimate, over at least two draws of every batch; samples are taken as given.
  [[nodiscard]] double standard_error(std::size_t quantity) const;

  /// Draws of every batch so far.
  [[nodiscard]] std::int64_t draws() const { return static_cast<std::int64_t>(batches_.front().front().size()); }
  /// Draws of every batch that should follow; 0: enough.
  [[nodiscard]] std::int64_t more(const DrawLimits& limits) const;

 private:
  std::vector<std::vector<std::vector<double>>> batches_;  ///< by batch, quantity and draw
};

}  // namespace halftone::internal
