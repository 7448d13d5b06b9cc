#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "halftone/latency/latency_model.hpp"

namespace halftone {

/// Latencies read from a JSON file, for devices that are not here:
///   {"version": 1, "device": "…", "source": "how and when it was measured", "unit": "ms", "batch": 1,
///    "overhead": 0.05,
///    "sites": {"conv1": {"16": 0.031, "8": 0.020}, …}}
/// A plan costs the overhead (everything but the sites; 0 where absent) plus its sites.
class TableLatency final : public LatencyModel {
 public:
  /// Throws `BadFile` naming the field and the value seen: unknown or missing keys, numbers that are not positive.
  static TableLatency read(const std::filesystem::path& path);

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::string origin() const override;
  [[nodiscard]] std::string unit() const override { return unit_; }
  [[nodiscard]] std::int64_t batch() const override { return batch_; }

 private:
  TableLatency() = default;
  /// Throws `NotFound` for a site or precision that the table lacks.
  [[nodiscard]] double do_estimate(std::span<const Site> sites, const Plan& plan) const override;

  std::string path_;
  std::string device_;
  std::string source_;
  std::string unit_;
  std::int64_t batch_ = 1;
  double overhead_ = 0;
  std::map<std::string, std::map<Precision, double>> sites_;
};

}  // namespace halftone
