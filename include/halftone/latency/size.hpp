#pragma once

#include "halftone/latency/latency_model.hpp"

namespace halftone {

/// Bit-operations relative to 16 bits: sum of MACs x (weight bits x activation bits) / 256, over all MACs. No time: a
/// proxy for comparing plans where no device is known.
class SizeLatency final : public LatencyModel {
 public:
  [[nodiscard]] std::string name() const override { return "size"; }
  [[nodiscard]] std::string origin() const override {
    return "bit-operations relative to all-16, computed from shapes (not a time)";
  }
  [[nodiscard]] std::string unit() const override { return "x all-16"; }

 private:
  [[nodiscard]] double do_estimate(std::span<const Site> sites, const Plan& plan) const override {
    double cost = 0;
    double macs = 0;
    for (std::size_t i = 0; i < sites.size(); ++i) {
      const auto site_macs = static_cast<double>(sites[i].macs);
      cost += site_macs * plan[i].weight_bits * plan[i].activation_bits / 256.0;
      macs += site_macs;
    }
    return cost / macs;
  }
};

}  // namespace halftone
