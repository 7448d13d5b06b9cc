// What studies of quality share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <malloc.h>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "data/shuffle.hpp"
#include "halftone/core/error.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/latency/latency_model.hpp"
#include "halftone/latency/measure_latency.hpp"
#include "halftone/registry.hpp"

namespace halftone::benchmarks {

/// Sum of MACs x mean width / 16 over all MACs.
inline std::shared_ptr<const LatencyModel> linear_cost() {
  return make_latency_model("linear", "x all-16", [](std::span<const Site> sites, const Plan& plan) {
    double cost = 0;
    double macs = 0;
    for (std::size_t i = 0; i < sites.size(); ++i) {
      cost += static_cast<double>(sites[i].macs) * (plan[i].weight_bits + plan[i].activation_bits) / 32.0;
      macs += static_cast<double>(sites[i].macs);
    }
    return cost / macs;
  });
}

inline std::shared_ptr<const Dataset> draw(const std::shared_ptr<const Dataset>& data, std::int64_t count, int seed) {
  const std::int64_t group = data->group();
  std::vector<std::int64_t> groups(static_cast<std::size_t>(data->size() / group));
  std::iota(groups.begin(), groups.end(), 0);
  std::mt19937_64 generator(static_cast<std::uint64_t>(seed));
  internal::shuffle(groups, generator);
  groups.resize(static_cast<std::size_t>(std::min(count, data->size()) / group));
  std::vector<std::int64_t> indices;
  for (const std::int64_t first : groups)
    for (std::int64_t i = 0; i < group; ++i) indices.push_back(first * group + i);
  return make_subset(data, indices, message(data->name(), " drawn by ", seed));
}

/// By name; what is measured is of this network, in the first engine that is here.
inline std::shared_ptr<const LatencyModel> study_latency(const std::string& spec, const Model& model,
                                                         const Calibration& ranges,
                                                         std::span<const Precision> precisions,
                                                         const std::string& cache) {
  const Registry registry = default_registry();
  if (spec == "linear") return linear_cost();
  if (spec != "measured") return registry.latency(spec, 1);
  const auto engine = registry.engine(has_openvino() ? "openvino" : "libtorch");
  auto measured =
      measure_latency(*engine, model, ranges, precisions, {.float_type = preferred_float(*engine), .cache = cache});
  std::printf("%s\n", measured->origin().c_str());
  return std::make_shared<const MeasuredLatency>(*std::move(measured));
}

/// Freed memory stays in the process, as in the program: see src/cli/main.cpp.
inline void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

}  // namespace halftone::benchmarks
