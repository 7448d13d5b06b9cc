#pragma once

#include <nlohmann/json_fwd.hpp>

#include <map>
#include <string>
#include <vector>

#include "halftone/quant/quantizer.hpp"

namespace halftone {

/// How a range is chosen from observed values.
enum class RangeMethod {
  Max,               ///< all values fit
  Percentile,        ///< all but a stated share of the values fit
  MeanSquaredError,  ///< least mean squared error of the quantized values
  Automatic,         ///< of weights only: what damages the network least, see adjust/weight_method.hpp
};

const char* to_string(RangeMethod method);
/// Reads "max", "percentile", "mse", "auto".
RangeMethod parse_range_method(const std::string& text);

/// Clip limits of one activation tensor at one width.
struct InputRange {
  double low = 0;                 ///< <= 0
  double high = 0;                ///< >= 0
  double mean_squared_error = 0;  ///< of the observed values after quantization; 0 where unknown

  bool operator==(const InputRange&) const = default;
};

/// Clip limits of one weight at one width.
struct WeightRange {
  std::vector<double> bounds;     ///< one per output channel: values clip to [-bound, bound]
  double mean_squared_error = 0;  ///< of the weight after quantization; 0 where unknown

  bool operator==(const WeightRange&) const = default;
};

/// What is known of one site's operands. Sites that read one tensor hold equal input ranges.
struct SiteRanges {
  double input_min = 0;  ///< smallest and largest activation seen
  double input_max = 0;
  double input_rms = 0;               ///< root mean square of the activations seen; 0 where unknown
  double weight_max = 0;              ///< largest |weight|
  std::map<int, InputRange> input;    ///< by width in bits (never 16)
  std::map<int, WeightRange> weight;  ///< by width in bits (never 16)

  bool operator==(const SiteRanges&) const = default;
};

/// The ranges of every site, in the order of the model's sites.
struct Calibration {
  std::vector<SiteRanges> sites;

  bool operator==(const Calibration&) const = default;
};

inline QuantParams params(const InputRange& range, int bits) { return activation_params(range.low, range.high, bits); }

void to_json(nlohmann::json& json, const Calibration& calibration);
void from_json(const nlohmann::json& json, Calibration& calibration);

}  // namespace halftone
