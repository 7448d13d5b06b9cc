#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/latency/latency_model.hpp"

namespace halftone {

/// What moves rows between two ranks.
struct RankLink {
  double latency_us = 5;      ///< of one exchange, whatever its size
  double bandwidth_gb_s = 0;  ///< 10^9 bytes a second in one direction, of all that a rank sends or receives at once
  std::string source{};       ///< where the figures come from
};

std::vector<std::string> validate(const RankLink& link);

/// The link of a roofline device's preset to its like ("a100"); half of the datasheet's figure for both directions. Its
/// latency is assumed. Throws `NotFound` with the names that exist.
RankLink link_of(const std::string& device);

/// Modelled latency of a network whose images are split by rows over ranks (see `SpatialNetwork`). `device` costs the
/// part of the rank that has most: a convolution's and an addition's site has the rows of its output that this rank
/// makes, and of its input those that they are made of; all other sites, and transposed convolutions, are whole on
/// every rank. Each site waits for the rows that it needs from elsewhere: latency + bytes / bandwidth, for the most
/// bytes that one rank sends or receives, at the width of the site's input in the plan. Nothing overlaps. Everything
/// but the sites is free, means over rows included.
class SpatialLatency final : public LatencyModel {
 public:
  /// `device` has to cost sites by the sizes that they have (`RooflineLatency`, and functions that do), in ms; measured
  /// latencies and tables do not. Throws `InvalidArgument` for fewer than 1 rank, another unit, or as `validate` says.
  SpatialLatency(std::shared_ptr<const LatencyModel> device, int ranks, RankLink link);

  [[nodiscard]] std::string name()
      const override;  ///< "spatial:4:a100" of roofline:a100, else "spatial:4:" and its name
  [[nodiscard]] std::string origin() const override;
  [[nodiscard]] std::string unit() const override { return "ms"; }
  [[nodiscard]] std::int64_t batch() const override { return device_->batch(); }

  /// Bytes that the busiest rank sends or receives before `site` runs.
  [[nodiscard]] double exchanged_bytes(const Site& site, Precision precision) const;
  /// `site` as the rank with most rows has it.
  [[nodiscard]] Site part(const Site& site) const;

 private:
  [[nodiscard]] double do_estimate(std::span<const Site> sites, const Plan& plan) const override;

  std::shared_ptr<const LatencyModel> device_;
  int ranks_;
  RankLink link_;
};

}  // namespace halftone
