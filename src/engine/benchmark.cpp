#include "halftone/engine/benchmark.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "calibrate/token_ids.hpp"
#include "core/scalar_type.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/options.hpp"

namespace halftone {

std::vector<at::Tensor> random_inputs(const Model& model, std::int64_t batch, std::uint64_t seed) {
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  std::vector<at::Tensor> inputs;
  for (const ValueId id : model.graph.inputs) {
    const Value& value = model.graph.values[static_cast<std::size_t>(id)];
    const auto shape = sizes_at(value.shape, model.graph.sizes(batch));
    const auto type = internal::to_scalar_type(value.dtype);
    if (info(value.dtype).floating)
      inputs.push_back(at::randn(shape, generator).to(type));
    else if (const auto ids = internal::vocabulary(model.graph, id))
      inputs.push_back(at::randint(*ids, shape, generator, type));
    else  // a mask, as a rule: nothing is padding
      inputs.push_back(at::ones(shape, type));
  }
  return inputs;
}

Calibration random_calibration(const Model& model, std::span<const Precision> precisions, std::uint64_t seed) {
  constexpr std::int64_t kSamples = 4;
  const auto data = make_tensor_dataset("random", random_inputs(model, kSamples, seed), at::Tensor());
  CalibrateOptions options;
  options.input.method = RangeMethod::Max;
  options.batch_size = kSamples;
  return calibrate(model, *data, precisions, options);
}

std::vector<std::string> validate(const BenchmarkOptions& options) {
  std::vector<std::string> violations = validate(CompileOptions{.batch = options.batch, .threads = options.threads});
  const auto measuring = validate(options.measure);
  violations.insert(violations.end(), measuring.begin(), measuring.end());
  return violations;
}

Measurement benchmark(const Engine& engine, const Model& model, const Calibration& calibration,
                      std::span<const Variant> variants, const BenchmarkOptions& options, const Monitor& monitor) {
  require_valid("benchmark options", validate(options));
  const std::vector<at::Tensor> inputs = random_inputs(model, options.batch);
  std::vector<std::unique_ptr<CompiledNetwork>> networks;
  std::vector<Pass> passes;
  for (const Variant& variant : variants) {
    if (monitor.stopped()) return {};
    monitor.report({"compile", std::ssize(networks), std::ssize(variants), variant.name});
    networks.push_back(
        engine.compile(model, variant.plan, calibration,
                       {.batch = options.batch, .threads = options.threads, .float_type = variant.float_type}));
    (void)networks.back()->run(inputs);
    passes.emplace_back([network = networks.back().get()] { network->repeat(); });
  }
  return measure(passes, options.measure, monitor);
}

}  // namespace halftone
