// How far what an engine computes is from the simulation, on real inputs: every site alone, and the network end to end.
//   agreement [--engine NAME] [--samples N] MODEL CALIBRATION DATA [MODEL CALIBRATION DATA …]
// "random" in place of CALIBRATION and DATA takes random inputs. Without bfloat16 on this machine, only float32 rows.
// Exits 1 where a site's error is beyond its tolerance.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/error.hpp"
#include "halftone/engine/benchmark.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/registry.hpp"

namespace {

using namespace halftone;

using Tensors = std::vector<at::Tensor>;

/// Of a site's outputs, root mean square error over root mean square. Both compute the same integers but where a value
/// to quantize lies on the border of two steps, and round the float result once.
constexpr double kTolerance = 1e-3;

/// Keeps what every site reads.
class Recorder final : public SiteVisitor {
 public:
  explicit Recorder(std::size_t sites) : inputs(sites) {}
  at::Tensor input(std::size_t index, const at::Tensor& activation) override {
    inputs[index] = activation.contiguous();
    return activation;
  }
  Tensors inputs;
};

/// The network that is site `index` alone.
Model isolate(const Model& model, std::size_t index) {
  Model alone = model;
  Site site = model.sites[index];
  alone.graph.nodes = {model.graph.nodes[site.node]};
  alone.graph.inputs = {site.input};
  alone.graph.outputs = alone.graph.nodes[0].outputs[0].ids;
  Value& input = alone.graph.values[static_cast<std::size_t>(site.input)];
  input.kind = ValueKind::Input;
  input.name = "input";
  site.node = 0;
  alone.sites = {site};
  return alone;
}

Tensors simulated(const Model& model, const Calibration& calibration, const Plan& plan, const Tensors& inputs) {
  const c10::InferenceMode inference;
  QuantizedVisitor visitor(model, calibration, plan);
  return Interpreter(model).run(inputs, &visitor);
}

Tensors deployed(const Engine& engine, const Model& model, const Calibration& calibration, const Plan& plan,
                 const Tensors& inputs, FloatType type) {
  return engine.compile(model, plan, calibration, {.batch = inputs[0].size(0), .float_type = type})->run(inputs);
}

/// Root mean square error over root mean square; of a reference that is all zero: 0 where `value` is too, else
/// infinite.
double relative_error(const at::Tensor& value, const at::Tensor& reference) {
  const at::Tensor exact = reference.to(at::kDouble);
  const double error = (value.to(at::kDouble) - exact).square().mean().item<double>();
  return error == 0 ? 0 : std::sqrt(error / exact.square().mean().item<double>());
}

/// Prints one line; whether all sites are within the tolerance.
bool compare_sites(const Engine& engine, const Model& model, const Calibration& calibration, const Tensors& inputs) {
  Recorder recorder(model.sites.size());
  {
    const c10::InferenceMode inference;
    (void)Interpreter(model).run(inputs, &recorder);
  }
  std::vector<std::pair<double, std::string>> errors;
  for (std::size_t i = 0; i < model.sites.size(); ++i) {
    const Model alone = isolate(model, i);
    const Calibration ranges{{calibration.sites[i]}};
    const Plan plan = Plan::uniform(1, k8);
    const Tensors input{recorder.inputs[i]};
    const auto expected = simulated(alone, ranges, plan, input);
    const auto actual = deployed(engine, alone, ranges, plan, input, FloatType::Float32);
    errors.emplace_back(relative_error(actual[0], expected[0]), model.sites[i].name);
  }
  std::sort(errors.begin(), errors.end());
  const auto& [largest, name] = errors.back();
  std::printf("  %3zu sites alone at 8 bits, rms error: median %.1e, largest %.1e (%s)%s\n", errors.size(),
              errors[errors.size() / 2].first, largest, name.c_str(), largest <= kTolerance ? "" : ": too large");
  return largest <= kTolerance;
}

void compare_networks(const Engine& engine, const Model& model, const Calibration& calibration, const Tensors& inputs) {
  const std::size_t sites = model.sites.size();
  struct Row {
    const char* name;
    Precision precision;
    FloatType type;
  };
  for (const Row& row :
       {Row{"float", k16, FloatType::Float32}, Row{"all at 8 bits, the rest f32", k8, FloatType::Float32},
        Row{"all at 8 bits, the rest bf16", k8, FloatType::BFloat16},
        Row{"all at 16 bits", k16, FloatType::BFloat16}}) {
    if (row.type == FloatType::BFloat16 && preferred_float(engine) != FloatType::BFloat16) continue;
    const Plan plan = Plan::uniform(sites, row.precision);
    const bool is_float = row.precision == k16 && row.type == FloatType::Float32;
    const c10::InferenceMode inference;
    const at::Tensor expected =
        is_float ? Interpreter(model).run(inputs)[0] : simulated(model, calibration, plan, inputs)[0];
    const at::Tensor actual = deployed(engine, model, calibration, plan, inputs, row.type)[0];
    std::printf("  %-29s rms error %.1e, largest difference %.1e, same largest output %lld of %lld\n", row.name,
                relative_error(actual, expected), (actual - expected).abs().max().item<double>(),
                static_cast<long long>((actual.argmax(-1) == expected.argmax(-1)).sum().item<std::int64_t>()),
                static_cast<long long>(expected.argmax(-1).numel()));
  }
}

bool compare(const Engine& engine, const std::string& spec, const std::string& calibration_spec,
             const std::string& data_spec, std::int64_t samples) {
  const LoadedModel loaded = load_model(spec);
  const Precision precisions[] = {k8};
  const bool is_random = data_spec == "random";
  const Calibration calibration =
      is_random ? random_calibration(loaded.model, precisions)
                : calibrate(loaded.model, *open_dataset(calibration_spec, loaded.data), precisions);
  const Tensors inputs = is_random ? random_inputs(loaded.model, samples, 1)
                                   : open_dataset(data_spec, loaded.data)->range(0, samples).inputs;
  std::printf("%s, %lld samples of %s, %s\n", spec.c_str(), static_cast<long long>(samples), data_spec.c_str(),
              engine.name().c_str());
  const bool good = compare_sites(engine, loaded.model, calibration, inputs);
  compare_networks(engine, loaded.model, calibration, inputs);
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  std::vector<std::string> words(argv + 1, argv + argc);
  std::string engine = has_openvino() ? "openvino" : "libtorch";
  std::int64_t samples = 16;
  while (words.size() >= 2 && (words[0] == "--engine" || words[0] == "--samples")) {
    if (words[0] == "--engine")
      engine = words[1];
    else
      samples = std::atoll(words[1].c_str());
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.empty() || words.size() % 3 != 0 || words[0].starts_with("--") || samples < 1) {
    std::fputs("usage: agreement [--engine NAME] [--samples N] MODEL CALIBRATION DATA [MODEL CALIBRATION DATA …]\n",
               stderr);
    return 2;
  }
  try {
    bool good = true;
    const auto chosen = default_registry().engine(engine);
    for (std::size_t i = 0; i < words.size(); i += 3)
      good = compare(*chosen, words[i], words[i + 1], words[i + 2], samples) && good;
    return good ? 0 : 1;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
