#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/batches.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/sensitivity/metric.hpp"
#include "sensitivity/change_tables.hpp"

namespace halftone::internal {

/// Runs a network with a few sites changed at a time, from one clean pass per batch: what lies upstream of the changed
/// sites is not run again.
class Sweep {
 public:
  using Outputs = std::vector<at::Tensor>;
  /// What runs change `index` on a batch.
  using VisitorFn = std::function<std::unique_ptr<SiteVisitor>(const BatchRange& batch, std::size_t index)>;
  /// Gets the outputs of a batch under change after change, in their order and on one thread, and appends to `results`
  /// what is to be known of them: a number for each sample and, behind the last change, `more` numbers of the batch. A
  /// sample whose outputs are not finite comes with its clean ones, and its number becomes NaN. Batches in parallel.
  using UseFn = std::function<void(const BatchRange& batch, std::size_t index, const Outputs& outputs,
                                   const Outputs& clean, std::vector<double>& results)>;
  /// Gets the results of a whole batch, just made or from the journal; batches in parallel.
  using KeepFn = std::function<void(const BatchRange& batch, std::span<const double> results)>;

  /// Borrows `input`. `sample_bytes`: what the metric keeps of each sample of a batch under way. Batches are as large
  /// as memory allows, whatever the number of threads; then as many threads as it allows. Throws `InvalidArgument`
  /// without samples, and where not even one sample's `sample_bytes` fit.
  Sweep(const SensitivityInput& input, const SensitivityMetric& metric, std::int64_t sample_bytes = 0);

  /// Every change on every batch that the journal, where there is one, does not have. Throws `Stopped`, and `NonFinite`
  /// where clean outputs are not finite.
  void run(const std::vector<Change>& changes, const VisitorFn& visitor, const UseFn& use, const KeepFn& keep,
           std::size_t more = 0);
  /// The same, with the changed sites' weights and inputs quantized and back.
  void quantize(const std::vector<Change>& changes, const UseFn& use, const KeepFn& keep, std::size_t more = 0);

  [[nodiscard]] std::int64_t batches() const { return loop().batches(); }
  /// Over the data, by all runs so far.
  [[nodiscard]] double forward_passes() const { return forward_passes_; }

 private:
  [[nodiscard]] BatchLoop loop() const;
  [[nodiscard]] std::string journal_key(const std::vector<Change>& changes, const BatchRange& batch) const;

  const SensitivityInput& input_;
  std::string metric_;
  Interpreter interpreter_;
  bool records_;  ///< else every change takes a full pass
  std::int64_t batch_size_;
  int threads_;
  double forward_passes_ = 0;
  std::string identity_;  ///< of the work, for the journal
  int runs_ = 0;          ///< that were begun
};

/// Damage by change and sample.
class ChangeDamage {
 public:
  ChangeDamage(const SensitivityInput& input, std::size_t changes);

  /// Appends the damage of a batch's samples under one change to `results`.
  void append(const Sweep::Outputs& outputs, const Sweep::Outputs& clean, std::vector<double>& results) const;
  /// Takes in what was appended for one batch, change after change; may be called in parallel for different batches.
  void keep(const BatchRange& batch, std::span<const double> results);

  [[nodiscard]] double mean(std::size_t change) const;
  /// Of the mean, from the spread over at least two samples.
  [[nodiscard]] double standard_error(std::size_t change) const;

 private:
  [[nodiscard]] std::span<const double> of(std::size_t change) const;

  const SensitivityInput& input_;
  std::size_t samples_;
  std::vector<double> damage_;  ///< by change and sample
};

}  // namespace halftone::internal
