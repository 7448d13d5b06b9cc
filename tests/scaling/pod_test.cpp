#include "halftone/scaling/pod.hpp"

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// 10^6 parameters, 10^9 macs a sample; a chip of one core does 10^12 operations a second.
Workload workload() {
  return {.name = "small",
          .parameters = 1e6,
          .forward_macs = 1e9,
          .training_samples = 1000,
          .evaluation_samples = 100,
          .update_bytes = 20};
}

Chip chip() {
  return {.name = "chip",
          .cores = 1,
          .peak_tera_flops = 1,
          .memory_gb_s = 10,
          .link = {.bandwidth_gb_s = 1, .latency_us = 10}};
}

StepOptions options(std::int64_t chips, std::int64_t batch) {
  return {.torus = {chips, 1}, .schedule = TorusSchedule::Ring, .batch = batch, .utilisation = 0.5};
}

}  // namespace

TEST_CASE("a step on one chip computes and updates, and sends nothing") {
  const StepTime step = model_step(workload(), chip(), options(1, 8));
  CHECK(step.compute == Approx(8 * 6e9 / 0.5e12));
  CHECK(step.update == Approx(1e6 * 20 / 10e9));
  CHECK(step.communication == Approx(0).margin(1e-12));
  CHECK(step.halo == 0);
  CHECK(step.gather == 0);
  CHECK(step.total() == Approx(0.096 + 0.002));
}

TEST_CASE("ranks share the batch, the last sample of which keeps all waiting") {
  CHECK(model_step(workload(), chip(), options(4, 8)).compute == Approx(2 * 0.012));
  CHECK(model_step(workload(), chip(), options(4, 9)).compute == Approx(3 * 0.012));
  CHECK(model_step(workload(), chip(), options(4, 1)).compute == Approx(0.012));
}

TEST_CASE("gradients cost an all-reduce of their bytes, and a sharded update the same in two halves") {
  StepOptions laid_out = options(4, 8);
  const StepTime replicated = model_step(workload(), chip(), laid_out);
  CHECK(replicated.communication == Approx(2 * 0.75 * 4e-3 + 6 * 10e-6));
  laid_out.sharded_update = true;
  const StepTime sharded = model_step(workload(), chip(), laid_out);
  CHECK(sharded.communication + sharded.gather == Approx(replicated.communication));
  CHECK(sharded.update == Approx(replicated.update / 4));
  laid_out.weight_bytes = 2;
  CHECK(model_step(workload(), chip(), laid_out).gather == Approx(0.75 * 2e-3 + 3 * 10e-6));
}

TEST_CASE("buckets hide communication behind backward, but for the last one") {
  StepOptions laid_out = options(4, 8);
  const double compute = model_step(workload(), chip(), laid_out).compute;  // 24 ms, of which 16 backward
  laid_out.buckets = 4;
  // Four all-reduces of 1 MB, 1.5 ms and 60 us each: shorter than a quarter of backward, so one is left.
  const StepTime few = model_step(workload(), chip(), laid_out);
  CHECK(few.compute == Approx(compute));
  CHECK(few.communication == Approx(1.56e-3));
  // With a slow link they queue up: the first begins at 8 + 4 ms, and each takes 30.06 ms.
  Chip slow = chip();
  slow.link.bandwidth_gb_s = 0.05;
  CHECK(model_step(workload(), slow, laid_out).communication == Approx(0.012 + 4 * 0.03006 - 0.024));
}

TEST_CASE("measured seconds of a sample stand in for peak and utilisation") {
  StepOptions laid_out = options(2, 8);
  laid_out.seconds_per_sample = 0.25;
  CHECK(model_step(workload(), chip(), laid_out).compute == Approx(1.0));
}

TEST_CASE("a sample that is split costs its largest part and its halos") {
  Workload images = workload();
  // 10 rows and columns, 8 channels each, 3x3: 57,600 macs. All other layers are not split.
  images.convolutions = {{8, 8, 3, 1, 10, 10}, {8, 8, 1, 1, 10, 10}};
  images.forward_macs = images.convolutions[0].macs() + images.convolutions[1].macs() + 1000;
  StepOptions laid_out = options(4, 4);
  const double whole = model_step(images, chip(), laid_out).compute;
  laid_out.spatial_parts = 4;  // one group, all 4 samples; 3 of 10 rows at most
  const StepTime split = model_step(images, chip(), laid_out);
  CHECK(split.compute == Approx(4 * whole * (0.3 * 64000 + 1000) / 65000));
  // The 3x3 alone needs rows of others: 2 rows of 10 x 8 numbers of 2 bytes, 4 samples, forward and backward.
  CHECK(split.halo == Approx(2 * (10e-6 + 2 * 10 * 8 * 4 * 2 / 1e9)));
}

TEST_CASE("a run is its steps and its padded evaluations, and initialisation stays apart") {
  const RunOptions run{.epochs = 2.5, .evaluations = 3, .evaluation_batch = 16, .initialisation_seconds = 7};
  const RunTime time = model_run(workload(), chip(), options(4, 48), run);
  CHECK(time.steps == 53);  // 2,500 samples by 48
  CHECK(time.training == Approx(53 * time.step.total()));
  // 7 batches of 16, 4 samples a chip and a third of 12 ms each; then 16 bytes.
  CHECK(time.evaluation == Approx(3 * (7 * 4 * 0.004 + 2 * 0.75 * 16e-9 + 6 * 10e-6)));
  CHECK(time.total() == Approx(time.training + time.evaluation));
  CHECK(time.initialisation == 7);
}

TEST_CASE("more chips shorten a step as long as there are samples for them") {
  double before = 1e9;
  for (const std::int64_t side : {1, 2, 4, 8, 16}) {
    StepOptions laid_out = options(side, 4096);
    laid_out.torus = {side, side};
    laid_out.schedule = TorusSchedule::TwoHalves;
    const double seconds = model_step(resnet50_workload(), tpu_v3(), laid_out).total();
    CHECK(seconds < before);
    before = seconds;
  }
}

TEST_CASE("a fitted utilisation gives the time that it was fitted to") {
  StepOptions laid_out = options(16, 4096);
  laid_out.torus = {4, 4};
  const RunOptions run{.epochs = 60, .evaluations = 15};
  for (const std::int64_t buckets : {1, 8}) {
    laid_out.buckets = buckets;
    laid_out.utilisation = fit_utilisation(resnet50_workload(), tpu_v3(), laid_out, run, 2500);
    CHECK(laid_out.utilisation > 0.1);
    CHECK(laid_out.utilisation < 1);
    CHECK(model_run(resnet50_workload(), tpu_v3(), laid_out, run).total() == Approx(2500).epsilon(1e-9));
  }
  const Failure refused =
      failure([&] { static_cast<void>(fit_utilisation(resnet50_workload(), tpu_v3(), laid_out, run, 100)); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Contains("no utilisation fits 100 s: at the peak the run takes"));
  laid_out.seconds_per_sample = 1;
  CHECK(failure([&] { static_cast<void>(fit_utilisation(resnet50_workload(), tpu_v3(), laid_out, run, 2500)); }).code ==
        Errc::InvalidArgument);
}

TEST_CASE("options that make no sense are refused with every reason") {
  StepOptions bad{.torus = {0, 1}, .batch = 0, .utilisation = 1.5, .seconds_per_sample = -1, .buckets = 0};
  bad.spatial_parts = 0;
  bad.gradient_bytes = 0;
  CHECK(validate(bad).size() == 7);
  const Failure refused = failure([&] { static_cast<void>(model_step(workload(), chip(), bad)); });
  CHECK_THAT(refused.text, Contains("batch is 0") && Contains("utilisation is 1.5") && Contains("buckets is 0"));

  CHECK(validate(RunOptions{.epochs = 0, .evaluations = -1, .evaluation_batch = -1, .initialisation_seconds = -1})
            .size() == 4);
  CHECK(validate(Chip{.cores = 0}).size() == 4);
  StepOptions uneven = options(4, 8);
  uneven.spatial_parts = 3;
  CHECK_THAT(failure([&] { static_cast<void>(model_step(workload(), chip(), uneven)); }).text,
             Contains("spatial_parts 3: it must divide"));
  CHECK(failure([&] { static_cast<void>(model_run(workload(), chip(), options(1, 1), {})); }).code ==
        Errc::InvalidArgument);
}
