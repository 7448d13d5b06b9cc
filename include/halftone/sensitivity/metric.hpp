#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/monitor.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/graph/model.hpp"
#include "halftone/sensitivity/table.hpp"

namespace halftone {

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
  Monitor monitor{};
};

/// Scores every site at every precision.
class SensitivityMetric {
 public:
  virtual ~SensitivityMetric() = default;

  [[nodiscard]] virtual std::string name() const = 0;

  /// Calls the metric, then checks that each site has a finite score for each precision and fills in name and
  /// seconds. Throws `NonFinite` or `Internal` naming metric, site and precision.
  [[nodiscard]] SensitivityTable measure(const SensitivityInput& input) const;

 private:
  [[nodiscard]] virtual SensitivityTable do_measure(const SensitivityInput& input) const = 0;
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

/// Quantization error: sqrt(e_w^2 + e_a^2) with e_x = sqrt(mean((Q(x) - x)^2)) / max|x| for the weight and for the
/// input activation; an operand left at 16 bits, as in the baseline, counts as exact. Free: reads only what calibration
/// kept. Source: docs/methods.md, section 3.1.
std::unique_ptr<SensitivityMetric> make_quantization_error();

}  // namespace halftone
