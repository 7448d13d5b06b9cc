#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/journal.hpp"
#include "halftone/core/monitor.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/graph/model.hpp"
#include "halftone/sensitivity/table.hpp"

namespace halftone {

class Team;

/// All that a metric may look at. Everything is borrowed.
struct SensitivityInput {
  const Model& model;
  const Calibration& calibration;
  const Dataset& data;                    ///< calibration samples
  const Task& task;                       ///< gives damage
  std::span<const Precision> precisions;  ///< to score, the baseline not among them
  std::uint64_t seed = 0;
  std::int64_t batch_size = 16;
  int threads = 1;
  /// For what metrics keep of all batches under way: values of clean passes that changed sites start from, activations
  /// with gradients, differences of outputs. Where it is little, batches hold fewer samples, and then fewer are under
  /// way at once. Where not one sample's clean values fit, every change takes a full pass; where not one sample fits of
  /// what a metric cannot do without, `InvalidArgument` says how much that is.
  std::int64_t most_bytes = std::int64_t{2} << 30;
  Monitor monitor{};
  /// Where metrics that sweep over batches put each one that is done, and find those done before, of the same work; may
  /// be null.
  Journal* journal = nullptr;
  /// Ranks that measure together, each its share of the batches; all call alike, with journals of equal content, and
  /// get the same table, that of one process. Borrowed; null: this process alone.
  Team* team = nullptr;
  /// Fingerprint of this input, once someone has it; leave it empty.
  std::string digest{};
};

/// Scores every site at every precision.
class SensitivityMetric {
 public:
  virtual ~SensitivityMetric() = default;

  [[nodiscard]] virtual std::string name() const = 0;
  /// The name and, where there are options that results depend on, all of them: it tells records of a journal apart.
  [[nodiscard]] virtual std::string identity() const { return name(); }
  /// Whether its tables have `pairs`, which the ordering "nested" needs.
  [[nodiscard]] virtual bool gives_pairs() const { return false; }

  /// Calls the metric, checks that each site has a score for each precision and fills in name and seconds. Scores that
  /// are negative or not finite are clamped and listed; one that is not finite gets a standard error of 0 and, in
  /// `pairs`, nothing but twice the clamped score on the diagonal. Throws `Internal` naming metric, site and precision
  /// where a score, a standard error or a precision of the pairs is missing, `NonFinite` where no score at a precision
  /// is finite, and `Stopped`, also before any work. How to check a metric of one's own:
  /// halftone/testing/check_metric.hpp.
  [[nodiscard]] SensitivityTable measure(const SensitivityInput& input) const;

 private:
  [[nodiscard]] virtual SensitivityTable do_measure(const SensitivityInput& input) const = 0;
};

/// A metric that scores one site after the other, with progress and a stop in between.
class SiteMetric : public SensitivityMetric {
 protected:
  /// Scores input.model.sites[site] at a precision; any number, see `measure`.
  using ScoreFn = std::function<double(std::size_t site, Precision precision)>;

 private:
  /// Does what all sites share and gives the function that scores one; `input` outlives it.
  [[nodiscard]] virtual ScoreFn prepare(const SensitivityInput& input) const = 0;

  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const final;
};

/// One site at one precision, for metrics that score it alone.
struct SiteView {
  const Site& site;
  const SiteRanges& ranges;
  Precision precision;
  at::Tensor weight;            ///< as trained; undefined for operands of additions
  at::Tensor quantized_weight;  ///< after quantization and back at this precision; likewise
};

/// A metric from a function of one site at one precision; no passes over the data.
std::unique_ptr<SensitivityMetric> make_metric(std::string name, std::function<double(const SiteView&)> score);

/// A metric that gives again what was measured before: the scores of `table`, in the order of the model's sites, at the
/// precisions asked for, and its pairs; no passes. Throws `InvalidArgument` where the table has no such site or
/// precision.
std::unique_ptr<SensitivityMetric> make_known_metric(SensitivityTable table);

}  // namespace halftone
