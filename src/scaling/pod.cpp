#include "halftone/scaling/pod.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "scaling/checks.hpp"

namespace halftone {
namespace {

constexpr double kForwardShare = 1.0 / 3;  // of forward and backward

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

void check(const Workload& workload, const Chip& chip, const StepOptions& options) {
  require_valid("workload", validate(workload));
  require_valid("chip", validate(chip));
  require_valid("options of a step", validate(options));
  if (options.torus.chips() * chip.cores % options.spatial_parts != 0)
    throw Error(Errc::InvalidArgument,
                message(options.torus.chips() * chip.cores, " cores cannot be grouped by spatial_parts ",
                        options.spatial_parts, ": it must divide their number"));
}

/// The share of a sample's work that falls on the busiest of the cores that split it.
double largest_part(const Workload& workload, std::int64_t parts) {
  double macs = workload.forward_macs;
  for (const ConvolutionShape& layer : workload.convolutions) {
    const auto rows = static_cast<double>(divide_up(layer.output_size, parts));
    macs -= layer.macs() * (1 - rows / static_cast<double>(layer.output_size));
  }
  return macs / workload.forward_macs;
}

double halo_seconds(const Workload& workload, const Chip& chip, const StepOptions& options, std::int64_t samples) {
  double seconds = 0;
  if (options.spatial_parts == 1) return seconds;
  for (const ConvolutionShape& layer : workload.convolutions) {
    if (layer.halo_rows() == 0 || layer.output_size == 1) continue;
    const auto numbers = static_cast<double>(layer.halo_rows() * layer.input_size * layer.in_channels * samples);
    seconds += 2 * message_seconds(chip.link, numbers * options.activation_bytes);
  }
  return seconds;
}

/// What the sums of gradients take beyond the end of backward.
double exposed_seconds(double compute, double bucket_seconds, std::int64_t buckets) {
  const double backward = compute * (1 - kForwardShare);
  double end = 0;
  for (std::int64_t i = 1; i <= buckets; ++i) {
    const double ready = compute - backward + backward * static_cast<double>(i) / static_cast<double>(buckets);
    end = std::max(end, ready) + bucket_seconds;
  }
  return end - compute;
}

}  // namespace

std::vector<std::string> validate(const Chip& chip) {
  std::vector<std::string> violations = internal::validate_link(chip.link, "link");
  const auto check_rate = [&](std::string_view what, double value) {
    if (!internal::is_positive(value)) violations.push_back(message(what, " is ", value, ": give a positive number"));
  };
  if (chip.cores < 1) violations.push_back(message("cores is ", chip.cores, ": at least 1 is needed"));
  check_rate("peak_tera_flops", chip.peak_tera_flops);
  check_rate("memory_gb_s", chip.memory_gb_s);
  return violations;
}

std::vector<std::string> validate(const StepOptions& options) {
  std::vector<std::string> violations = internal::validate_torus(options.torus);
  const auto check_count = [&](std::string_view what, std::int64_t value) {
    if (value < 1) violations.push_back(message(what, " is ", value, ": at least 1 is needed"));
  };
  const auto check_bytes = [&](std::string_view what, double value) {
    if (!internal::is_positive(value)) violations.push_back(message(what, " is ", value, ": give a positive number"));
  };
  check_count("batch", options.batch);
  check_count("buckets", options.buckets);
  check_count("spatial_parts", options.spatial_parts);
  check_bytes("gradient_bytes", options.gradient_bytes);
  check_bytes("weight_bytes", options.weight_bytes);
  check_bytes("activation_bytes", options.activation_bytes);
  if (!(options.utilisation > 0 && options.utilisation <= 1))
    violations.push_back(message("utilisation is ", options.utilisation, ": it is above 0 and at most 1"));
  if (!std::isfinite(options.seconds_per_sample) || options.seconds_per_sample < 0)
    violations.push_back(message("seconds_per_sample is ", options.seconds_per_sample, ": a number from 0 is needed"));
  return violations;
}

std::vector<std::string> validate(const RunOptions& options) {
  std::vector<std::string> violations;
  if (!internal::is_positive(options.epochs))
    violations.push_back(message("epochs is ", options.epochs, ": give a positive number"));
  if (options.evaluations < 0)
    violations.push_back(message("evaluations is ", options.evaluations, ": 0 or more are needed"));
  if (options.evaluation_batch < 0)
    violations.push_back(message("evaluation_batch is ", options.evaluation_batch, ": 0 or more is needed"));
  if (!std::isfinite(options.initialisation_seconds) || options.initialisation_seconds < 0)
    violations.push_back(
        message("initialisation_seconds is ", options.initialisation_seconds, ": a number from 0 is needed"));
  return violations;
}

// Peak and memory: Google's documentation of Cloud TPU v3 (123 bf16 TFLOP/s and 900 GB/s a chip of two cores). Links:
// Jouppi et al., A Domain-Specific Supercomputer for Training Deep Neural Networks, 2020: four links of 656 Gbit/s each
// way a chip, so 82 GB/s, two of them on each axis; the documentation's 340 TB/s of a pod are 1,024 chips x 4 x 83
// GB/s. A latency is published nowhere: 1 microsecond is assumed.
Chip tpu_v3() {
  return {.name = "tpu-v3",
          .source = "Google's documentation of Cloud TPU v3; links: Jouppi et al., 2020; latency: assumed",
          .cores = 2,
          .peak_tera_flops = 123,
          .memory_gb_s = 900,
          .link = {.bandwidth_gb_s = 164, .latency_us = 1}};
}

StepTime model_step(const Workload& workload, const Chip& chip, const StepOptions& options) {
  check(workload, chip, options);
  const std::int64_t cores = options.torus.chips() * chip.cores;
  const std::int64_t samples = divide_up(options.batch, cores / options.spatial_parts);
  const auto chip_cores = static_cast<double>(chip.cores);
  const double core_flops = chip.peak_tera_flops * 1e12 / chip_cores * options.utilisation;
  const double sample_seconds =
      options.seconds_per_sample > 0 ? options.seconds_per_sample : 6 * workload.forward_macs / core_flops;
  const Network network{.torus = options.torus, .link = chip.link, .schedule = options.schedule};
  const double bucket = workload.parameters * options.gradient_bytes / static_cast<double>(options.buckets);

  StepTime step;
  step.compute = static_cast<double>(samples) * sample_seconds * largest_part(workload, options.spatial_parts);
  step.halo = halo_seconds(workload, chip, options, samples);
  step.communication = exposed_seconds(
      step.compute,
      options.sharded_update ? reduce_scatter_seconds(network, bucket) : all_reduce_seconds(network, bucket),
      options.buckets);
  step.update = workload.parameters * workload.update_bytes / (chip.memory_gb_s * 1e9 / chip_cores);
  if (!options.sharded_update) return step;
  step.update /= static_cast<double>(cores);
  step.gather = all_gather_seconds(network, workload.parameters * options.weight_bytes);
  return step;
}

RunTime model_run(const Workload& workload, const Chip& chip, const StepOptions& step, const RunOptions& run) {
  require_valid("options of a run", validate(run));
  RunTime time;
  time.step = model_step(workload, chip, step);
  time.steps = std::ceil(run.epochs * workload.training_samples / static_cast<double>(step.batch));
  time.training = time.steps * time.step.total();
  time.initialisation = run.initialisation_seconds;
  if (run.evaluations == 0) return time;

  StepOptions evaluation = step;
  if (run.evaluation_batch > 0) evaluation.batch = run.evaluation_batch;
  const StepTime both = model_step(workload, chip, evaluation);
  const double batches = std::ceil(workload.evaluation_samples / static_cast<double>(evaluation.batch));
  const Network network{.torus = step.torus, .link = chip.link, .schedule = step.schedule};
  time.evaluation = static_cast<double>(run.evaluations) *
                    (batches * (both.compute * kForwardShare + both.halo / 2) + all_reduce_seconds(network, 2 * 8));
  return time;
}

double fit_utilisation(const Workload& workload, const Chip& chip, const StepOptions& step, const RunOptions& run,
                       double seconds) {
  if (!internal::is_positive(seconds) || step.seconds_per_sample > 0)
    throw Error(Errc::InvalidArgument,
                message("a utilisation is fitted to ", seconds, " s, with seconds_per_sample ", step.seconds_per_sample,
                        ": give a positive time, and leave seconds_per_sample at 0"));
  StepOptions options = step;
  const auto total_at = [&](double utilisation) {
    options.utilisation = utilisation;
    return model_run(workload, chip, options, run).total();
  };
  const double at_peak = total_at(1);
  if (at_peak > seconds)
    throw Error(Errc::InvalidArgument, message("no utilisation fits ", seconds, " s: at the peak the run takes ",
                                               at_peak, " s; check batch, epochs and chips"));
  // The total falls as the utilisation grows: bisection of its logarithm.
  double low = std::log(1e-12);
  double high = 0;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (total_at(std::exp(middle)) > seconds ? low : high) = middle;
  }
  return std::exp(high);
}

}  // namespace halftone
