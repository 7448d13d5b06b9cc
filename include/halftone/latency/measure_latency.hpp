#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "halftone/core/monitor.hpp"
#include "halftone/engine/engine.hpp"
#include "halftone/latency/measured.hpp"

namespace halftone {

struct MeasureLatencyOptions {
  std::int64_t batch = 1;
  int threads = 1;
  FloatType float_type = FloatType::BFloat16;  ///< of what does not compute in integers
  int plans = 0;                  ///< random plans that are measured; 0: half as many as there are sites, and 8
  std::filesystem::path cache{};  ///< folder of earlier measurements, read and added to; none where empty
  std::uint64_t seed = 0;
};

std::vector<std::string> validate(const MeasureLatencyOptions& options);

/// What `measure_latency` would refuse before it measures anything: throws `Io` for a cache that cannot be written,
/// `InvalidArgument` where none of `precisions` is in integers, `Unsupported` as `Engine::require` and
/// `Engine::require_integers`.
void require_measurable(const Engine& engine, std::span<const Precision> precisions,
                        const MeasureLatencyOptions& options = {});

/// Measures `model` in `engine` under all-16, all-integer and random plans and fits a `MeasuredLatency` for the
/// `precisions`; takes earlier measurements of the same fingerprint from the cache, unless they fit poorly.
/// `calibration` holds the ranges of the precisions; times hardly depend on them. Cost: one compilation and up to .6 s
/// a plan, as a rule 15 turns (fewer where a pass takes more than 40 ms: two or three at 250 ms), the plans of a group
/// side by side; up to four times that on a machine that is busy with other things. A precision that is measured later
/// than the others takes twice that, and all-16 beside it. Nothing when stopped. A cache entry that is damaged is
/// replaced; `notes`, where given, gets a sentence about it. Throws as `require_measurable`, and as `Engine::compile`.
std::optional<MeasuredLatency> measure_latency(const Engine& engine, const Model& model, const Calibration& calibration,
                                               std::span<const Precision> precisions,
                                               const MeasureLatencyOptions& options = {}, const Monitor& monitor = {},
                                               std::vector<std::string>* notes = nullptr);

}  // namespace halftone
