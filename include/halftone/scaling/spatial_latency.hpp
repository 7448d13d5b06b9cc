#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "halftone/latency/latency_model.hpp"
#include "halftone/scaling/collectives.hpp"

namespace halftone {

/// Modelled latency of a batch whose images are split by rows over several devices: what `one_device` estimates for the
/// largest part of every convolution, ceil(R / parts) of its R output rows, one after the other, and before each
/// convolution the rows of neighbours, latency + (kernel - stride) rows x width x channels x batch x activation bits /
/// 8 / bandwidth: fewer bits make halos smaller. Linear layers, and convolutions of one row, run whole everywhere.
///
/// `one_device` must cost `macs`, `input_elements` and `output_elements` of sites, as a roofline does, and be in ms.
/// The stride is that of the sites' shapes, input rows / output rows, rounded; kernels are without dilation.
class SpatialLatency final : public LatencyModel {
 public:
  /// Throws `InvalidArgument` for no model, one in another unit, fewer than 1 part, and a link that is not valid.
  SpatialLatency(std::shared_ptr<const LatencyModel> one_device, std::int64_t parts, Link link);

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::string origin() const override;
  [[nodiscard]] std::string unit() const override { return "ms"; }
  [[nodiscard]] std::int64_t batch() const override { return one_device_->batch(); }

 private:
  [[nodiscard]] double do_estimate(std::span<const Site> sites, const Plan& plan) const override;

  std::shared_ptr<const LatencyModel> one_device_;
  std::int64_t parts_;
  Link link_;
};

}  // namespace halftone
