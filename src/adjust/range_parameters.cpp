#include "adjust/range_parameters.hpp"

#include <set>
#include <utility>

namespace halftone::internal {

RangeParameters::RangeParameters(const Model& model, const Calibration& calibration, const Plan& plan, bool with_inputs,
                                 bool with_weights)
    : readers_(model.sites.size()) {
  for (std::size_t i = 0; i < model.sites.size(); ++i)
    for (std::size_t j = 0; j < model.sites.size(); ++j)
      if (model.sites[i].input == model.sites[j].input) readers_[i].push_back(j);

  std::set<std::pair<ValueId, int>> seen;
  for (std::size_t i = 0; with_inputs && i < plan.size(); ++i) {
    const int bits = plan[i].activation_bits;
    if (bits == 16 || !seen.emplace(model.sites[i].input, bits).second) continue;
    const InputRange& range = calibration.sites[i].input.at(bits);
    inputs_.push_back({i, bits, start_.size()});
    start_.insert(start_.end(), {range.low < 0 ? -range.low : 0.0, range.high});
  }
  for (std::size_t i = 0; with_weights && i < plan.size(); ++i) {
    const int bits = plan[i].weight_bits;
    if (bits == 16 || !model.sites[i].has_weight()) continue;
    const auto& bounds = calibration.sites[i].weight.at(bits).bounds;
    weights_.push_back({i, bits, start_.size(), bounds.size()});
    start_.insert(start_.end(), bounds.begin(), bounds.end());
  }
}

Calibration RangeParameters::apply(Calibration calibration, const std::vector<double>& bounds) const {
  for (const Input& input : inputs_) {
    const double below = bounds[input.at];
    for (const std::size_t site : readers_[input.site]) {
      const auto range = calibration.sites[site].input.find(input.bits);
      if (range != calibration.sites[site].input.end())
        range->second = {.low = below > 0 ? -below : 0.0, .high = bounds[input.at + 1]};
    }
  }
  for (const Weight& weight : weights_) {
    const auto* const first = bounds.data() + weight.at;
    calibration.sites[weight.site].weight.at(weight.bits) = {.bounds = {first, first + weight.channels}};
  }
  return calibration;
}

}  // namespace halftone::internal
