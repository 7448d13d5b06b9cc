#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/scaling/collectives.hpp"
#include "halftone/scaling/workload.hpp"

namespace halftone {

/// An accelerator of which a pod is made. Its cores work on samples of their own, each with all weights.
struct Chip {
  std::string name;
  std::string source;  ///< where the figures come from
  std::int64_t cores = 1;
  double peak_tera_flops = 0;  ///< of all cores; a multiply-accumulate is two
  double memory_gb_s = 0;      ///< 10^9 bytes a second, of all cores
  Link link{};
};

std::vector<std::string> validate(const Chip& chip);

/// Google's TPU v3.
Chip tpu_v3();

/// How a step of training is laid out.
struct StepOptions {
  Torus torus{};
  TorusSchedule schedule = TorusSchedule::TwoHalves;
  std::int64_t batch = 0;    ///< of all chips together
  double utilisation = 0.5;  ///< the share of the peak that a core reaches, above 0 and at most 1
  /// Measured seconds of forward and backward of one sample on one core; 0: by peak and utilisation.
  double seconds_per_sample = 0;
  std::int64_t buckets = 1;  ///< in which gradients are summed as backward makes them; 1: all behind backward
  bool sharded_update = false;
  std::int64_t spatial_parts = 1;  ///< cores that share a sample, each with a part of its rows
  double gradient_bytes = 4;       ///< of a number when gradients are summed
  double weight_bytes = 4;         ///< of a number when updated weights are gathered
  double activation_bytes = 2;     ///< of a number in a halo
};

std::vector<std::string> validate(const StepOptions& options);

/// Modelled seconds of one step.
struct StepTime {
  double compute = 0;        ///< forward and backward
  double halo = 0;           ///< rows of neighbours, where samples are split
  double communication = 0;  ///< sum of gradients, as far as backward does not hide it
  double update = 0;
  double gather = 0;  ///< of updated weights, where the update is sharded

  [[nodiscard]] double total() const { return compute + halo + communication + update + gather; }
};

/// Models a step of synchronous data-parallel training.
///
/// compute: ceil(batch / groups) samples one after the other, 3 x 2 x macs each, at the achieved rate of a core; a
/// group
///   is `spatial_parts` cores. Of a convolution with R output rows each of S cores computes ceil(R / S), the rest
///   whole.
/// halo: for each split convolution, forward and backward, latency + halo rows x width x channels x samples x
///   activation_bytes / B.
/// communication: N buckets of M / N; bucket i is ready at forward + backward i / N (backward is two thirds of compute)
///   and is summed behind bucket i-1; what ends after backward counts. An all-reduce, or a reduce-scatter where the
///   update is sharded.
/// update: parameters x update_bytes / memory rate of a core, / (chips x cores) where sharded.
/// gather: an all-gather of the weights.
///
/// Left out: sums between the cores of a chip, input, batch norms over several cores, slow ranks. Throws
/// `InvalidArgument` for arguments that are not valid, and for spatial parts that do not divide the cores.
StepTime model_step(const Workload& workload, const Chip& chip, const StepOptions& options);

struct RunOptions {
  double epochs = 0;
  std::int64_t evaluations = 0;
  std::int64_t evaluation_batch = 0;  ///< 0: the batch of training
  double initialisation_seconds = 0;
};

std::vector<std::string> validate(const RunOptions& options);

/// Modelled seconds of a run.
struct RunTime {
  StepTime step;
  double steps = 0;
  double training = 0;
  double evaluation = 0;
  double initialisation = 0;  ///< apart: MLPerf's clock begins behind it

  [[nodiscard]] double total() const { return training + evaluation; }
};

/// ceil(epochs x samples / batch) steps, and evaluations of ceil(samples / batch) batches, the last one padded: a
/// forward pass each (a third of `compute`, and half of `halo`), then an all-reduce of two 8-byte counts.
RunTime model_run(const Workload& workload, const Chip& chip, const StepOptions& step, const RunOptions& run);

/// The utilisation at which `model_run` takes `seconds`: a model is fitted to one run that was measured, and projected
/// from there. `step.utilisation` is not read. Throws `InvalidArgument` where even the peak takes longer.
double fit_utilisation(const Workload& workload, const Chip& chip, const StepOptions& step, const RunOptions& run,
                       double seconds);

}  // namespace halftone
