// Models the training of four networks on 16 to 1,024 chips and sets it beside what was published: what is MODELLED is
// labelled so. One utilisation of the chip's peak is fitted, to ResNet-50 on 16 chips; everything else is projected.
//
// Published: MLPerf training 0.6, closed division, Google (mlcommons/training_results_v0.6): the mean of all runs but
// the fastest and the slowest. Batch, epochs, evaluations and logged times are those of the run result_0; of ResNet-50,
// mean epochs and the mean itself. A logged step is the time between two marks of that log by its steps: of ssd300 the
// first 32 epochs, with what starts up; of transformer and gnmt the second block, without the decoding; of resnet50
// four epochs and their evaluation.
//
//   pod_scale
#include <cstdio>
#include <string>
#include <vector>

#include "halftone/scaling/pod.hpp"

using namespace halftone;

namespace {

struct Published {
  Torus torus;
  std::int64_t batch;
  double epochs;
  std::int64_t evaluations;
  double mean_seconds;
  double logged_seconds;
  double logged_step_ms;  ///< 0: not known
  std::int64_t spatial_parts = 1;
};

struct Benchmark {
  Workload workload;
  std::vector<Published> runs;  ///< the first is on 16 chips
};

std::vector<Benchmark> benchmarks() {
  return {{resnet50_workload(),
           {{{4, 4}, 4096, 60.8, 15, 2531, 2531, 0},
            {{8, 8}, 16384, 64.8, 16, 673, 673, 0},
            {{8, 16}, 32768, 74.4, 19, 412, 412, 0},
            {{16, 16}, 32768, 72.0, 18, 231, 231, 0},
            {{16, 32}, 32768, 76.0, 19, 136, 136, 0},
            {{32, 32}, 32768, 72.8, 18, 76.95, 76.95, 25.2}}},
          {ssd300_workload(),
           {{{4, 4}, 1024, 58, 5, 757, 754.9, 111.7},
            {{8, 8}, 1024, 58, 5, 233, 232.5, 33.7},
            {{8, 16}, 1024, 58, 5, 166, 166.1, 23.8},
            {{16, 16}, 2048, 75, 8, 107, 107.4, 23.7},
            {{16, 32}, 2048, 75, 8, 80.4, 80.7, 18.4, 4},
            {{32, 32}, 2048, 75, 8, 72.4, 73.2, 17.7, 4}}},
          {transformer_big_workload(),
           {{{4, 4}, 512, 3, 3, 612, 588.1, 154.6},
            {{8, 8}, 512, 4, 4, 231, 272.7, 53.0},
            {{8, 16}, 512, 4, 4, 169, 206.6, 39.8},
            {{16, 16}, 2048, 5, 5, 94.9, 91.1, 31.2},
            {{16, 32}, 2048, 5, 5, 62.8, 61.3, 20.8},
            {{32, 32}, 2048, 5, 5, 50.9, 58.1, 18.1}}},
          {gnmt_workload(),
           {{{4, 4}, 4096, 6, 6, 735, 734.9, 125.6},
            {{8, 8}, 8192, 7, 7, 277, 277.0, 77.5},
            {{8, 16}, 8192, 7, 7, 212, 208.1, 57.3},
            {{16, 16}, 8192, 7, 7, 151, 150.5, 40.1},
            {{16, 32}, 8192, 7, 7, 126.7, 127.4, 33.1}}}};
}

StepOptions step_of(const Published& run, double utilisation) {
  constexpr std::int64_t kShardedFrom = 256;  // assumed: the logs do not say
  return {.torus = run.torus,
          .batch = run.batch,
          .utilisation = utilisation,
          .sharded_update = run.torus.chips() >= kShardedFrom,
          .spatial_parts = run.spatial_parts};
}

RunOptions run_of(const Published& run) { return {.epochs = run.epochs, .evaluations = run.evaluations}; }

double fitted(const Benchmark& benchmark) {
  const Published& run = benchmark.runs.front();
  return fit_utilisation(benchmark.workload, tpu_v3(), step_of(run, 1), run_of(run), run.logged_seconds);
}

std::string tenths(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", number);
  return number > 0 ? text : "-";
}

void print(const Benchmark& benchmark, double utilisation) {
  const double own = fitted(benchmark);
  std::printf("\n%s: %.1f million parameters, %.2f GMAC forward; its own utilisation on 16 chips would be %.3f\n",
              benchmark.workload.name.c_str(), benchmark.workload.parameters / 1e6,
              benchmark.workload.forward_macs / 1e9, own);
  std::printf(
      "             | MODELLED step, ms                            | logged | MODELLED | logged |       | own   | "
      "published\n");
  std::printf(
      "chips  batch | compute  halo  sums update gather      total |     ms |        s |      s | ratio | ratio |    "
      "mean s\n");
  for (const Published& run : benchmark.runs) {
    const RunTime time = model_run(benchmark.workload, tpu_v3(), step_of(run, utilisation), run_of(run));
    const RunTime by_own = model_run(benchmark.workload, tpu_v3(), step_of(run, own), run_of(run));
    const StepTime& step = time.step;
    std::printf("%5ld %6ld | %7.2f %5.2f %5.2f %6.2f %6.2f %10.2f | %6s | %8.1f | %6.1f | %5.2f | %5.2f | %9.1f\n",
                static_cast<long>(run.torus.chips()), static_cast<long>(run.batch), step.compute * 1e3, step.halo * 1e3,
                step.communication * 1e3, step.update * 1e3, step.gather * 1e3, step.total() * 1e3,
                tenths(run.logged_step_ms).c_str(), time.total(), run.logged_seconds, time.total() / run.logged_seconds,
                by_own.total() / run.logged_seconds, run.mean_seconds);
  }
}

/// What two methods are worth in the model on the largest pod of each benchmark.
void print_methods(const std::vector<Benchmark>& all, double utilisation) {
  std::printf(
      "\nMODELLED step on most chips, ms: as above; update on every core; one ring for sums; unsplit samples\n");
  for (const Benchmark& benchmark : all) {
    const StepOptions best = step_of(benchmark.runs.back(), utilisation);
    StepOptions replicated = best;
    replicated.sharded_update = false;
    StepOptions ring = best;
    ring.schedule = TorusSchedule::Ring;
    StepOptions unsplit = best;
    unsplit.spatial_parts = 1;
    std::printf("%-12s", benchmark.workload.name.c_str());
    for (const StepOptions& options : {best, replicated, ring, unsplit})
      std::printf(" %8.2f", model_step(benchmark.workload, tpu_v3(), options).total() * 1e3);
    std::printf("\n");
  }
}

}  // namespace

int main() {
  const std::vector<Benchmark> all = benchmarks();
  const double utilisation = fitted(all.front());
  std::printf("MODELLED, not measured: %s (%s)\n", tpu_v3().name.c_str(), tpu_v3().source.c_str());
  std::printf("utilisation %.3f of the peak, fitted to resnet50 on 16 chips; two halves on opposite axes; no overlap\n",
              utilisation);
  for (const Benchmark& benchmark : all) print(benchmark, utilisation);
  print_methods(all, utilisation);
}
