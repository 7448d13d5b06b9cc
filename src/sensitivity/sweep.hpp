#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
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

/// A table with the score of each of `rows`, which change one site each, and its standard error where `error` gives it.
SensitivityTable scored_table(const SensitivityInput& input, const std::vector<Change>& rows,
                              const std::function<double(std::size_t row)>& score,
                              const std::function<double(std::size_t row)>& error = {});

/// Runs a network with a few sites changed at a time, from one clean pass per batch: what lies upstream of the changed
/// sites is not run again.
class Sweep {
 public:
  using Outputs = std::vector<at::Tensor>;
  /// What runs change `index` on a batch.
  using VisitorFn = std::function<std::unique_ptr<SiteVisitor>(const BatchRange& batch, std::size_t index)>;
  /// Gets the outputs of a batch under change after change, in their order and on one thread, and appends to `results`
  /// what is to be known of them; batches in parallel.
  using UseFn = std::function<void(const BatchRange& batch, std::size_t index, const Outputs& outputs,
                                   const Outputs& clean, std::vector<double>& results)>;
  /// Gets the results of a whole batch, just made or from the journal; batches in parallel.
  using KeepFn = std::function<void(const BatchRange& batch, std::span<const double> results)>;

  /// Borrows `input`. `options` tells results of one metric from those with other options.
  Sweep(const SensitivityInput& input, std::string metric, const std::string& options = {});

  /// Every change on every batch that the journal, where there is one, does not have. Throws `Stopped`.
  void run(const std::vector<Change>& changes, const VisitorFn& visitor, const UseFn& use, const KeepFn& keep);
  /// The same, with the changed sites' weights and inputs quantized and back.
  void quantize(const std::vector<Change>& changes, const UseFn& use, const KeepFn& keep);

  [[nodiscard]] std::int64_t batches() const { return loop().batches(); }
  /// Over the data, by all runs so far.
  [[nodiscard]] double forward_passes() const { return forward_passes_; }

 private:
  [[nodiscard]] BatchLoop loop() const;
  [[nodiscard]] std::string journal_key(const std::vector<Change>& changes, const BatchRange& batch) const;

  const SensitivityInput& input_;
  std::string metric_;
  Interpreter interpreter_;
  std::int64_t batch_size_;
  std::int64_t recording_bytes_;  ///< that one recording may take
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
  /// Of the mean, from the spread over samples; 0 for one sample.
  [[nodiscard]] double standard_error(std::size_t change) const;

 private:
  const SensitivityInput& input_;
  std::size_t samples_;
  std::vector<double> damage_;
};

}  // namespace halftone::internal
