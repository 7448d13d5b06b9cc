#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "adjust/clean_batches.hpp"
#include "halftone/adjust/record.hpp"

namespace halftone::internal {

/// Samples to learn from, in the order drawn, and samples held out, ascending.
struct SampleParts {
  std::vector<std::int64_t> training;
  std::vector<std::int64_t> held_out;
};

/// Draws `share` of the data to be held out, at most `most`. Throws `InvalidArgument` for fewer than two samples;
/// `what` is being done.
SampleParts split_samples(const Dataset& data, double share, std::int64_t most, std::uint64_t seed, const char* what);

/// Batches of one step after another: all of them in a random order, then again in another.
class BatchOrder {
 public:
  BatchOrder(std::size_t batches, std::uint64_t seed) : batches_(batches), random_(seed) {}

  std::vector<std::size_t> next(std::size_t count);

 private:
  std::size_t batches_;
  std::mt19937_64 random_;
  std::vector<std::int64_t> left_;
};

/// Remembers which of the states that were checked loses least on samples that no step saw, the start among them.
/// Writes into `record`. Borrows all.
class Guard {
 public:
  /// `samples`: of the whole data, that passes are counted in.
  Guard(const Workplace& place, const CleanBatches& held_out, const Plan& plan, std::int64_t samples,
        RangeAdjustment& record)
      : place_(place), held_out_(held_out), plan_(plan), samples_(samples), record_(record) {}

  /// Comes first. False when stopped.
  bool start(const Calibration& calibration);
  /// Adds the mean loss of one step's samples.
  void add_step(double loss) { training_ += loss; }
  /// The state after `record.steps`: whether it is the best so far; nothing when stopped.
  std::optional<bool> check(const Calibration& calibration);

  /// "damage 0.4 -> 0.3"
  [[nodiscard]] std::string describe() const;

 private:
  std::optional<double> measure(const Calibration& calibration);

  const Workplace& place_;
  const CleanBatches& held_out_;
  const Plan& plan_;
  std::int64_t samples_;
  RangeAdjustment& record_;
  double training_ = 0;  ///< sum of losses since the last check
};

}  // namespace halftone::internal
