#pragma once

#include "halftone/report/run_result.hpp"

namespace halftone {

/// Scores of `correct` out of 4,600 samples, against 4,592.
inline Evaluation example_evaluation(double correct, double half_interval = 0.0005) {
  const double kept = correct / 4592;
  return {.plan_digest = "digest of " + std::to_string(static_cast<int>(correct)),
          .score = correct / 4600,
          .score_count = correct,
          .samples = 4600,
          .damage = (4592 - correct) * 1e-3,
          .interval = {kept - half_interval, kept + half_interval},
          .passed = correct >= 0.999 * 4592,
          .seconds = 1.5};
}

/// A run as `quantize` returns it: three sites, one at 4 bits, two at 8, with a report part.
inline RunResult example_run() {
  RunResult run;
  run.status = RunStatus::Met;
  run.model = "net:weights.safetensors";
  run.model_digest = "0123456789abcdef0123456789abcdef";
  for (const char* name : {"conv1", "layer1.0.conv2", "fc"}) {
    Site site;
    site.name = name;
    site.kind = run.sites.size() == 2 ? SiteKind::Linear : SiteKind::Convolution;
    site.input = static_cast<ValueId>(run.sites.size());
    site.input_shape = {{0, 1}, {3, 0}, {8, 0}, {8, 0}};
    site.output_shape = {{0, 1}, {4, 0}, {8, 0}, {8, 0}};
    site.weight_shape = {4, 3, 3, 3};
    site.macs = 1000;
    site.weight_elements = 1024;
    run.sites.push_back(site);
    SiteRanges ranges;
    for (const int bits : {4, 8}) {
      ranges.weight[bits].bounds = {0.5, 0.25, 0.1, 1};
      ranges.input[bits] = {.low = 0, .high = 1.0 / 3};
    }
    run.calibration.sites.push_back(ranges);
  }
  run.plan = {{k8, k4, k8}};
  run.gate.keep = 0.999;
  run.task = "top1";
  run.metric = "error";
  run.order = "gain";
  run.search = "bisection";
  run.precisions = {k16, k8, k4};
  run.range_input = "mse";
  run.range_weight = "max";
  run.threads = 2;
  run.batch_size = 16;
  run.latency_model = "roofline:a100";
  run.latency_origin = "modelled, not measured: roofline of a100 at batch 1 (a datasheet)";
  run.latency_unit = "ms";
  run.latency_batch = 1;
  run.activations = {{.peak = 3, .error = 1e-4}, {.peak = 40, .error = 0.02}, {.peak = 40, .error = 0.02}};
  run.site_saving = {0.1, 0.3, 0.1};
  run.float_score = example_evaluation(4595);
  run.baseline = {.evaluation = example_evaluation(4592, 0), .predicted_latency = 1};
  run.result = {.evaluation = example_evaluation(4589), .predicted_latency = 0.5};
  run.baseline.report = example_evaluation(4592, 0);
  run.result.report = example_evaluation(4590);
  run.uniform_latency = {{"16", 1}, {"8", 0.7}, {"4", 0.4}};
  run.sensitivity = {.metric = "error",
                     .scores = {{{k8, 0.001}, {k4, 0.02}}, {{k8, 0.002}, {k4, 0.01}}, {{k8, 0.003}, {k4, 0.03}}},
                     .seconds = 0.25};
  run.steps = {{.plan = Plan::uniform(3, k8), .evaluation = example_evaluation(4591), .decision = "all 3 sites: next"},
               {.plan = {{k4, k4, k8}}, .evaluation = example_evaluation(4500), .decision = "2 lose too much: try 1"},
               {.plan = run.plan, .evaluation = run.result.evaluation, .decision = "1 keeps enough: done"}};
  run.calibration_data = {"cifar10:train.bin[0:500]", "c", 500};
  run.validation_data = {"cifar10:test.bin[0:4600]", "v", 4600};
  run.report_data = {"cifar10:test.bin[4600:9200]", "r", 4600};
  run.forward_passes = 9;
  run.seconds = {{"calibrate", 0.5}, {"search", 4.5}};
  run.environment = {{"libtorch", "2.13.0"}};
  return run;
}

/// Nine turns whose medians go up and down by a hundredth, those of `phase` 1 down where those of 0 go up.
inline Timing example_timing(double median, int phase = 0) {
  Timing timing{.minimum = 0.98 * median,
                .median = median,
                .low = 0.99 * median,
                .high = 1.01 * median,
                .spread = 0.02,
                .passes = 90};
  for (int turn = 0; turn < 9; ++turn) timing.samples.push_back(median * (1 + 0.01 * ((turn + phase) % 2 * 2 - 1)));
  return timing;
}

/// The same run with latency measured in an engine, in which plans were scored too. All-8 is no faster than all-16, as
/// far as can be seen.
inline RunResult measured_run() {
  RunResult run = example_run();
  run.latency_model = "measured:openvino";
  run.latency_origin =
      "predicted from 36 networks measured in openvino 2026.4.1 on a CPU, batch 1, 1 thread; median error 0.7 % on "
      "networks left out";
  run.scored_in = "openvino 2026.4.1";
  run.other_score.emplace();
  run.other_score->scored_in = "simulation";
  run.other_score->evaluation = example_evaluation(4588);
  run.latency_measured = true;
  run.engine = EngineUsed{.name = "openvino", .version = "2026.4.1", .threads = 2, .float_type = "bf16"};
  run.measured = EngineTimes{
      .batch = 1,
      .load = 0.5,
      .precise = true,
      .baseline = example_timing(2),
      .plan = example_timing(1),
      .uniform = {{"16", example_timing(2)}, {"8", example_timing(2, /*phase=*/1)}, {"4", example_timing(1.5)}}};
  run.notes = {
      "The plan that the search found took 1.2 ms, another plan that passed 0.98 ms and passes too: it is the "
      "result."};
  return run;
}

}  // namespace halftone
