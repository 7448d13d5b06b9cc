// How well MeasuredLatency predicts networks that it has not seen: random plans, predicted and measured.
//   measured_latency MODEL… [--batch N] [--engine NAME]
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "halftone/core/error.hpp"
#include "halftone/engine/benchmark.hpp"
#include "halftone/latency/measure_latency.hpp"
#include "halftone/registry.hpp"

namespace {

using namespace halftone;

constexpr int kPlans = 20;

std::vector<Variant> random_variants(std::size_t sites, FloatType type) {
  std::mt19937 generator(12345);
  std::vector<Variant> variants{{"all at 16 bits", Plan::uniform(sites, k16), type},
                                {"all at 8 bits", Plan::uniform(sites, k8), type}};
  for (int k = 0; k < kPlans; ++k) {
    Plan plan = Plan::uniform(sites, k16);
    const double share = (k + 0.5) / kPlans;
    for (std::size_t i = 0; i < sites; ++i)
      if (static_cast<double>(generator()) < share * 4294967296.0) plan[i] = k8;
    variants.push_back({message("random ", k + 1), plan, type});
  }
  return variants;
}

/// Milliseconds of each, the fastest pass, a few networks in memory at a time.
std::vector<double> measure_all(const Engine& engine, const Model& model, const Calibration& calibration,
                                const std::vector<Variant>& variants, std::int64_t batch) {
  constexpr std::size_t kAtOnce = 6;
  std::vector<double> times;
  for (std::size_t begin = 0; begin < variants.size(); begin += kAtOnce) {
    const std::size_t end = std::min(begin + kAtOnce, variants.size());
    const std::vector<Variant> group(variants.begin() + static_cast<std::ptrdiff_t>(begin),
                                     variants.begin() + static_cast<std::ptrdiff_t>(end));
    const auto measured = benchmark(engine, model, calibration, group,
                                    {.batch = batch, .measure = {.max_seconds = 12, .min_rounds = 25}});
    for (const Timing& timing : measured.timings) times.push_back(timing.minimum);
  }
  return times;
}

void run(const std::string& spec, const Engine& engine, std::int64_t batch) {
  const LoadedModel loaded = load_model(spec);
  const Precision eight[] = {k8};
  const Calibration calibration = random_calibration(loaded.model, eight);
  const Precision precisions[] = {k16, k8};
  const FloatType type = preferred_float(engine);
  const auto latency =
      measure_latency(engine, loaded.model, calibration, precisions, {.batch = batch, .float_type = type});
  const auto& sites = loaded.model.sites;
  std::printf("%s, batch %lld: %s\n", spec.c_str(), static_cast<long long>(batch), latency->origin().c_str());
  const auto variants = random_variants(sites.size(), type);
  const auto times = measure_all(engine, loaded.model, calibration, variants, batch);
  std::vector<double> errors;
  std::printf("  %-16s %8s %10s %10s %8s\n", "plan", "sites", "predicted", "measured", "error");
  for (std::size_t i = 0; i < variants.size(); ++i) {
    const auto& plan = variants[i].plan;
    const double predicted = latency->estimate(sites, plan);
    const double error = predicted / times[i] - 1;
    if (i >= 2) errors.push_back(std::abs(error));
    std::printf("  %-16s %8td %7.4f ms %7.4f ms %+7.2f %%\n", variants[i].name.c_str(),
                std::count(plan.precisions.begin(), plan.precisions.end(), k8), predicted, times[i], 100 * error);
  }
  std::sort(errors.begin(), errors.end());
  std::printf("  median error of %d random plans %.2f %%, largest %.2f %%\n", kPlans,
              50 * (errors[kPlans / 2 - 1] + errors[kPlans / 2]), 100 * errors.back());
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  std::vector<std::string> models;
  std::int64_t batch = 1;
  std::string engine = has_openvino() ? "openvino" : "libtorch";
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--batch" && i + 1 < argc)
      batch = std::stoll(argv[++i]);
    else if (argument == "--engine" && i + 1 < argc)
      engine = argv[++i];
    else
      models.push_back(argument);
  }
  if (models.empty()) models = {"cifar_resnet20:random"};
  try {
    for (const auto& model : models) run(model, *default_registry().engine(engine), batch);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
