#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/batches.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/sensitivity/metric.hpp"

namespace halftone::internal {

/// What is not as trained: some sites, each at a precision.
using Change = std::vector<std::pair<std::size_t, Precision>>;

/// Every site alone at every precision, site by site: the rows of a `PairMatrix`.
std::vector<Change> single_changes(const SensitivityInput& input);

/// Runs a network with a few sites changed at a time, from one clean pass per batch: what lies upstream of the changed
/// sites is not run again.
class Sweep {
 public:
  using Outputs = std::vector<at::Tensor>;
  /// What runs change `index` on a batch.
  using VisitorFn = std::function<std::unique_ptr<SiteVisitor>(const BatchRange& batch, std::size_t index)>;
  /// Gets the outputs of a batch under change after change, in their order and on one thread; batches in parallel.
  using UseFn =
      std::function<void(const BatchRange& batch, std::size_t index, const Outputs& outputs, const Outputs& clean)>;

  /// Borrows `input`.
  Sweep(const SensitivityInput& input, std::string metric);

  /// Every change on every batch. Throws `Stopped`.
  void run(const std::vector<Change>& changes, const VisitorFn& visitor, const UseFn& use);
  /// The same, with the changed sites' weights and inputs quantized and back.
  void quantize(const std::vector<Change>& changes, const UseFn& use);

  [[nodiscard]] std::int64_t batches() const { return loop().batches(); }
  /// Over the data, by all runs so far.
  [[nodiscard]] double forward_passes() const { return forward_passes_; }

 private:
  [[nodiscard]] BatchLoop loop() const;

  const SensitivityInput& input_;
  std::string metric_;
  Interpreter interpreter_;
  std::int64_t batch_size_;
  std::int64_t recording_bytes_;  ///< that one recording may take
  double forward_passes_ = 0;
};

/// Damage by change and sample.
class ChangeDamage {
 public:
  ChangeDamage(const SensitivityInput& input, std::size_t changes);

  /// Of one batch; may be called in parallel for different batches or changes.
  void store(const BatchRange& batch, std::size_t change, const Sweep::Outputs& outputs, const Sweep::Outputs& clean);

  [[nodiscard]] double mean(std::size_t change) const;
  /// Of the mean, from the spread over samples; 0 for one sample.
  [[nodiscard]] double standard_error(std::size_t change) const;

 private:
  const SensitivityInput& input_;
  std::size_t samples_;
  std::vector<double> damage_;
};

}  // namespace halftone::internal
