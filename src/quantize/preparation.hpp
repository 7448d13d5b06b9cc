#pragma once

#include "halftone/core/digest.hpp"
#include "halftone/quantize.hpp"
#include "quantize/memory.hpp"
#include "quantize/setup.hpp"

namespace halftone::internal {

/// The stages before the first score: data read, ranges, latencies. Writes what it finds into the result; latencies
/// into the setup too. Borrows all.
class Preparation {
 public:
  Preparation(Setup& setup, Memory& memory, RunResult& result) : setup_(setup), memory_(memory), result_(result) {}

  // Each throws `Stopped`.

  /// Every sample once: what is broken shows before any work.
  void read_data();
  void calibrate();
  void measure_latencies();
  /// Ranges of all sites at each precision in turn, from the highest. Precisions may share a width, as 8 and w4a8 do:
  /// what one has adjusted stays for those below it.
  void adjust_uniform_plans();
  void describe_activations();

  /// Ranges adjusted to `plan`, with a record of it in the result.
  AdjustedRanges adjust(const Plan& plan, bool inputs, bool weights);
  [[nodiscard]] bool adjusts(RangeAdjusting when) const {
    return setup_.options.adjust_ranges == when || setup_.options.adjust_ranges == RangeAdjusting::Both;
  }

  /// Predicted latencies of the baseline and of uniform plans. A latency model that lacks a site or a precision fails.
  void predict();
  /// An engine that cannot run the network says so now, not after the search.
  void compile_once() const;

 private:
  [[nodiscard]] Digest calibration_key() const;
  [[nodiscard]] Digest latency_key() const;
  void refuse_training_on_tests() const;
  bool find_latency();
  [[nodiscard]] MeasuredLatency read_latency(const nlohmann::json& json) const;
  void set_latency(MeasuredLatency measured);

  Setup& setup_;
  Memory& memory_;
  RunResult& result_;
};

}  // namespace halftone::internal
