#pragma once

#include <cstddef>
#include <vector>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/graph/model.hpp"

namespace halftone::internal {

/// The bounds that may move, as one list of magnitudes.
class RangeParameters {
 public:
  /// The range of one activation at one width: bounds[at] is -low, bounds[at + 1] high.
  struct Input {
    std::size_t site;  ///< the first that reads it so
    int bits;
    std::size_t at;
  };
  /// One site's weight: bounds[at + c] is that of channel c.
  struct Weight {
    std::size_t site;
    int bits;
    std::size_t at;
    std::size_t channels;
  };

  /// The ranges that `plan` needs, of inputs and of weights, where these are asked for. `calibration` has them all.
  RangeParameters(const Model& model, const Calibration& calibration, const Plan& plan, bool with_inputs,
                  bool with_weights);

  [[nodiscard]] const std::vector<Input>& inputs() const { return inputs_; }
  [[nodiscard]] const std::vector<Weight>& weights() const { return weights_; }
  [[nodiscard]] const std::vector<double>& start() const { return start_; }  ///< of the calibration; all >= 0

  /// `calibration` with these bounds, at every site that reads a tensor; where a range moved, its mean squared error is
  /// 0: unknown.
  [[nodiscard]] Calibration apply(Calibration calibration, const std::vector<double>& bounds) const;

 private:
  std::vector<std::vector<std::size_t>> readers_;  ///< by site: those that read the same tensor
  std::vector<Input> inputs_;
  std::vector<Weight> weights_;
  std::vector<double> start_;
};

}  // namespace halftone::internal
