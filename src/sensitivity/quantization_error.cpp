#include <algorithm>
#include <cmath>

#include "halftone/sensitivity/metrics.hpp"

namespace halftone {

namespace {

/// sqrt(mean squared error) / largest magnitude of one operand. An operand at 16 bits is as in the baseline and has
/// none.
template <class Range>
double relative_error(const std::map<int, Range>& ranges, int bits, double largest) {
  if (bits == 16 || largest == 0) return 0;
  return std::sqrt(ranges.at(bits).mean_squared_error) / largest;
}

class QuantizationError final : public SensitivityMetric {
 public:
  [[nodiscard]] std::string name() const override { return "error"; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    SensitivityTable table;
    for (std::size_t i = 0; i < input.calibration.sites.size(); ++i) {
      const SiteRanges& site = input.calibration.sites[i];
      const bool has_weight = input.model.sites[i].has_weight();
      auto& scores = table.scores.emplace_back();
      const double input_largest = std::max(std::abs(site.input_min), std::abs(site.input_max));
      for (const Precision precision : input.precisions)
        scores[precision] =
            std::hypot(has_weight ? relative_error(site.weight, precision.weight_bits, site.weight_max) : 0,
                       relative_error(site.input, precision.activation_bits, input_largest));
    }
    return table;
  }
};

}  // namespace

std::unique_ptr<SensitivityMetric> make_quantization_error() { return std::make_unique<QuantizationError>(); }

}  // namespace halftone
