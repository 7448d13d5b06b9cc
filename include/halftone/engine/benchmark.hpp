#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "halftone/engine/engine.hpp"
#include "halftone/engine/measure.hpp"

namespace halftone {

/// A network to time.
struct Variant {
  std::string name;  ///< "all at 8 bits"
  Plan plan;
  FloatType float_type = FloatType::BFloat16;
};

struct BenchmarkOptions {
  std::int64_t batch = 1;
  int threads = 1;
  MeasureOptions measure{};
};

std::vector<std::string> validate(const BenchmarkOptions& options);

/// Times `variants` of one network in `engine` side by side, on random inputs: timings in their order. Memory: all
/// variants at once. No timings where it is stopped before all are compiled. Throws as `Engine::compile`.
Measurement benchmark(const Engine& engine, const Model& model, const Calibration& calibration,
                      std::span<const Variant> variants, const BenchmarkOptions& options = {},
                      const Monitor& monitor = {});

/// Inputs [batch, …] for timing, drawn by `seed`: floats of a normal distribution, ids that an embedding looks up of
/// all that it has; zeros where inputs are neither.
std::vector<at::Tensor> random_inputs(const Model& model, std::int64_t batch, std::uint64_t seed = 0);

/// Ranges from random inputs, for timing a network for which there is no data. Not for accuracy.
Calibration random_calibration(const Model& model, std::span<const Precision> precisions, std::uint64_t seed = 0);

}  // namespace halftone
