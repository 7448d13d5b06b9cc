#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "example_run.hpp"

namespace halftone {

/// A measured run of a network of `count` sites for two targets, with pairs and plans that were not scored to the end.
inline RunResult large_run(std::size_t count) {
  RunResult run = measured_run();
  run.precisions = {k16, k8, k4};
  run.order = "nested";
  run.metric = "interlayer";
  run.sites.clear();
  run.calibration.sites.clear();
  run.site_saving.clear();
  run.activations.clear();
  run.plan = {};
  run.sensitivity = {.metric = "interlayer", .seconds = 2.5};
  const auto wave = [](std::size_t i, double step) { return std::sin(step * static_cast<double>(i + 1)); };
  for (std::size_t i = 0; i < count; ++i) {
    Site site = example_run().sites[i + 1 == count ? 2 : 0];
    site.name = i + 1 == count ? "classifier"
                               : "layer" + std::to_string(i / 6 + 1) + "." + std::to_string(i / 2 % 3) + ".conv" +
                                     std::to_string(i % 2 + 1);
    site.macs = 2'000'000 + static_cast<std::int64_t>(1'500'000 * wave(i, 0.7));
    site.weight_elements = 500 + 4000 * static_cast<std::int64_t>(i);
    run.sites.push_back(site);
    run.calibration.sites.push_back(example_run().calibration.sites[0]);
    run.plan.precisions.push_back(i % 11 == 3 ? k16 : i % 3 == 0 ? k4 : k8);
    run.activations.push_back({.peak = 4 + 3 * wave(i, 0.7), .error = 1e-4 * (1.5 + wave(i, 0.9))});
    run.site_saving.push_back(0.6 / static_cast<double>(count) * (1 + 1.2 * wave(i, 1.3)));
    const double score = 0.002 * std::exp(2 * wave(i, 0.9));
    run.sensitivity.scores.push_back({{k8, score}, {k4, 9 * score}});
  }
  std::vector<double> values(4 * count * count);
  for (std::size_t i = 0; i < 2 * count; ++i)
    for (std::size_t j = 0; j < 2 * count; ++j) {
      const auto apart = std::abs(static_cast<double>(i / 2) - static_cast<double>(j / 2));
      const double together = i == j ? 1 : std::cos(0.5 * apart) * std::exp(-apart / 8) * (0.7 + 0.3 * wave(i + j, 2));
      values[i * 2 * count + j] = together * (i % 2 == 0 ? 1 : 3) * (j % 2 == 0 ? 1 : 3);
    }
  run.sensitivity.pairs = PairMatrix(count, {k8, k4}, std::move(values), 1e-3);
  run.steps.clear();
  const std::size_t plans = std::max<std::size_t>(8, count / 4);
  for (std::size_t i = 0; i < plans; ++i) {
    SearchStep step{.plan = Plan::uniform(count, k8),
                    .latency = 0.7 - 0.3 * static_cast<double>(i) / static_cast<double>(plans)};
    for (std::size_t site = 0; site < i * count / plans; ++site) step.plan[site] = k4;
    step.evaluation =
        example_evaluation(4593 - std::floor(static_cast<double>(i * i) * 120 / static_cast<double>(plans)));
    step.evaluation.plan_digest = "plan " + std::to_string(i + 1);
    if (i % 3 == 2 && !step.evaluation.passed) {
      step.evaluation.unscored = 3000;
      step.evaluation.interval = {};
    }
    step.decision = i == 0
                        ? "all sites at 8 bits keep enough; next: 4 bits"
                        : std::to_string(i * count / plans) +
                              " sites at 4 bits: " + (step.evaluation.passed ? "enough is kept" : "too much is lost");
    run.decisions.push_back({step.evaluation.plan_digest, step.evaluation.passed, step.decision});
    run.steps.push_back(step);
  }
  run.steps.push_back(
      {.plan = run.plan, .evaluation = run.result.evaluation, .latency = 0.5, .decision = "repair: kept"});
  run.decisions.push_back({run.result.evaluation.plan_digest, true, "repair: classifier at 8 bits: kept"});
  TargetResult looser{.gate = {.keep = 0.98}, .status = RunStatus::Met, .plan = run.steps[3].plan};
  looser.figures = {.evaluation = run.steps[3].evaluation, .predicted_latency = run.steps[3].latency};
  looser.measured = example_timing(0.9);
  looser.decisions = {{run.steps[0].evaluation.plan_digest, true, "all sites at 8 bits keep enough; next: 4 bits"},
                      {run.steps[3].evaluation.plan_digest, true, "3 of 8: enough is kept"}};
  run.looser.push_back(looser);
  return run;
}

}  // namespace halftone
