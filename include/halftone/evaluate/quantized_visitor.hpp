#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <map>
#include <vector>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/graph/interpreter.hpp"

namespace halftone {

/// What `site` reads in place of `activation` at `bits`; 16 is bfloat16. Differentiable, straight through. Throws
/// `InvalidArgument` naming site and width where `ranges` lacks it.
at::Tensor quantize_input(const Site& site, const SiteRanges& ranges, int bits, const at::Tensor& activation);

/// The same for the site's weight, per output channel.
at::Tensor quantize_weight(const Site& site, const SiteRanges& ranges, int bits, const at::Tensor& weight);

/// The weight as integers and their scales, one per output channel: what an engine stores.
struct IntegerWeight {
  at::Tensor integers;  ///< int8, on the CPU, in the weight's shape
  at::Tensor scales;    ///< float32 [channels]
};
IntegerWeight integer_weight(const Site& site, const SiteRanges& ranges, int bits, const at::Tensor& weight);

/// Throws `InvalidArgument` unless `plan` and `calibration` fit the model's sites and `calibration` has every range
/// that `plan` needs; names the first site and width that it lacks.
void require_ranges(const Model& model, const Calibration& calibration, const Plan& plan);

/// Weights quantized and back, by site and width, made once and read by many passes. Borrows model and calibration; the
/// model's weights must not change meanwhile. Memory: the model's weights once per width.
class QuantizedWeights {
 public:
  QuantizedWeights(const Model& model, const Calibration& calibration);

  /// Makes what `plan` needs and is not there yet. Not while passes run.
  void prepare(const Plan& plan);
  /// Throws `Internal` for what was not prepared. May be called in parallel.
  [[nodiscard]] const at::Tensor& get(std::size_t site, int bits) const;

 private:
  const Model& model_;
  const Calibration& calibration_;
  std::vector<std::map<int, at::Tensor>> by_site_;
};

/// Runs a model as `plan` says: every site reads its input and its weight quantized and back. An activation that
/// several sites read at one width is quantized once and dropped after the last of them. Cheap to make: one for each
/// pass or thread.
class QuantizedVisitor final : public SiteVisitor {
 public:
  /// Takes weights from `weights`, prepared for `plan`; where there is none, quantizes those that the model holds in
  /// every pass, with gradients straight through. Borrows all but `plan`. Throws as `require_ranges`.
  QuantizedVisitor(const Model& model, const Calibration& calibration, const Plan& plan,
                   const QuantizedWeights* weights = nullptr);

  at::Tensor input(std::size_t index, const at::Tensor& activation) override;
  at::Tensor weight(std::size_t index, const at::Tensor& weight) override;

 private:
  /// One activation at one width.
  struct Shared {
    int readers = 0;
    int left = 0;  ///< in this pass
    at::Tensor source;
    at::Tensor quantized;
  };

  const Model& model_;
  const Calibration& calibration_;
  Plan plan_;
  const QuantizedWeights* weights_;
  std::vector<Shared> shared_;
  std::vector<std::size_t> shared_of_site_;
};

}  // namespace halftone
