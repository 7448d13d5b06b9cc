#pragma once

#include <map>
#include <string>
#include <vector>

#include "halftone/latency/latency_model.hpp"

namespace halftone {

/// Peak rates of a device. One multiply-accumulate is two operations.
struct RooflineDevice {
  std::string name;                ///< "a100"
  std::string source;              ///< where the figures come from
  std::map<int, double> tera_ops;  ///< dense matrix peak in 10^12 operations a second, by width in bits: 16, 8, 4
  double bandwidth_gb_s = 0;       ///< memory, 10^9 bytes a second
};

/// The presets: accelerators with 4-bit matrix units.
const std::vector<RooflineDevice>& roofline_devices();

/// Modelled latency: each site takes max(2 MACs / peak, bytes / bandwidth), one after the other. The peak is that of
/// the wider operand (w4a8 computes at 8 bits; a width without units of its own runs at the next wider one). Bytes:
/// input and weight at their widths, output at 16 bits. Everything but the sites is free. Source: Williams et al.,
/// Roofline, 2009.
class RooflineLatency final : public LatencyModel {
 public:
  /// Throws `InvalidArgument` for a device without a 16-bit peak, or rates that are not positive.
  explicit RooflineLatency(RooflineDevice device, std::int64_t batch = 1);

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::string origin() const override;
  [[nodiscard]] std::string unit() const override { return "ms"; }
  [[nodiscard]] std::int64_t batch() const override { return batch_; }

 private:
  [[nodiscard]] double do_estimate(std::span<const Site> sites, const Plan& plan) const override;

  RooflineDevice device_;
  std::int64_t batch_;
};

}  // namespace halftone
