#pragma once

#include <optional>
#include <vector>

#include "halftone/engine/benchmark.hpp"
#include "halftone/report/run_result.hpp"

namespace halftone::internal {

/// Plans to time end to end.
class Finalists {
 public:
  /// The baseline, every uniform plan in `precisions` and `plan`; and of the plans that passed in `steps` the next
  /// fastest by `latency`, up to two.
  Finalists(const RunResult& run, const LatencyModel& latency, FloatType float_type);

  /// Nothing when stopped.
  bool measure(const Engine& engine, const Model& model, const Calibration& calibration,
               const BenchmarkOptions& options, const Monitor& monitor);

  [[nodiscard]] const std::vector<Variant>& variants() const { return variants_; }
  [[nodiscard]] const Measurement& measurement() const { return measurement_; }
  /// Of a plan that was measured.
  [[nodiscard]] const Timing& timing(const Plan& plan) const;

 private:
  void add(std::string name, const Plan& plan);

  FloatType float_type_;
  std::vector<Variant> variants_;
  Measurement measurement_;
};

}  // namespace halftone::internal
