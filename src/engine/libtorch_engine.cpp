#include <ATen/ATen.h>
#include <torch/version.h>

#include <mutex>

#include "core/openmp_threads.hpp"
#include "engine/cpu_features.hpp"
#include "engine/libtorch/program.hpp"
#include "halftone/core/error.hpp"
#include "halftone/engine/engine.hpp"

namespace halftone {
namespace {

using namespace internal;

class LibtorchNetwork final : public CompiledNetwork {
 public:
  LibtorchNetwork(const Model& model, Program program, const CompileOptions& options)
      : CompiledNetwork(model, options.batch),
        program_(std::move(program)),
        threads_(options.threads),
        profiled_(options.profile),
        microseconds_(program_.steps().size()) {}

  void repeat() override { (void)pass(last_inputs_); }

  [[nodiscard]] std::vector<EngineNode> profile() override {
    std::vector<EngineNode> nodes;
    const std::lock_guard lock(mutex_);
    for (const BoundStep& step : program_.steps()) {
      nodes.push_back(step.node);
      nodes.back().microseconds = microseconds_[nodes.size() - 1];
    }
    return nodes;
  }

 private:
  Frame pass(std::span<const at::Tensor> inputs) {
    const OpenMpThreads threads(threads_);
    if (!profiled_) return program_.run(inputs);
    std::vector<double> microseconds;
    Frame frame = program_.run(inputs, &microseconds);
    const std::lock_guard lock(mutex_);
    microseconds_ = std::move(microseconds);
    return frame;
  }

  std::vector<at::Tensor> do_run(std::span<const at::Tensor> inputs) override {
    {
      const std::lock_guard lock(mutex_);
      last_inputs_.assign(inputs.begin(), inputs.end());
    }
    return program_.outputs(pass(inputs));
  }

  const Program program_;
  const int threads_;
  const bool profiled_;
  std::mutex mutex_;  ///< guards what follows
  std::vector<at::Tensor> last_inputs_;
  std::vector<double> microseconds_;
};

/// A network without the operands of additions and products among its sites: they stay float here.
struct WithoutOperands {
  Model model;
  Plan plan{};
  Calibration calibration{};

  WithoutOperands(const Model& whole, const Plan& whole_plan, const Calibration& ranges)
      : model{whole.graph, whole.tensors, {}} {
    for (std::size_t i = 0; i < whole.sites.size(); ++i) {
      const Site& site = whole.sites[i];
      if (site.has_weight()) {
        model.sites.push_back(site);
        plan.precisions.push_back(whole_plan[i]);
        calibration.sites.push_back(ranges.sites[i]);
      } else if (whole_plan[i].activation_bits < 16) {
        throw Error(
            Errc::Unsupported,
            message("the LibTorch engine adds and multiplies activations in float, and site \"", site.name, "\" is at ",
                    in_words(whole_plan[i]), ": leave out --additions and --products, or run in another engine"));
      }
    }
  }
};

class LibtorchEngine final : public Engine {
 public:
  [[nodiscard]] std::string name() const override { return "libtorch"; }
  [[nodiscard]] std::string version() const override {
    return message(TORCH_VERSION, " (", at::get_cpu_capability(), ')');
  }

  void require(FloatType type) const override {
    if (type == FloatType::Float32) return;
    torch::jit::Stack stack;
    c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_is_mkldnn_bf16_supported", "").callBoxed(stack);
    if (!stack.at(0).toBool())
      throw Error(Errc::Unsupported,
                  "LibTorch has no bfloat16 kernels for this CPU (it needs at least avx512): give --float f32 (in C++ "
                  "FloatType::Float32), or work with a modelled latency (--latency roofline:DEVICE)");
  }
  void require_integers() const override { require_int8_dot_products(); }

 private:
  [[nodiscard]] std::unique_ptr<CompiledNetwork> do_compile(const Model& model, const Plan& plan,
                                                            const Calibration& calibration,
                                                            const CompileOptions& options) const override {
    const OpenMpThreads threads(options.threads);  // packing depends on it
    const WithoutOperands network(model, plan, calibration);
    const Schedule schedule =
        make_schedule(network.model.graph, network.model.sites, network.plan, network.calibration);
    const at::ScalarType type = options.float_type == FloatType::BFloat16 ? at::kBFloat16 : at::kFloat;
    Program program({network.model, network.plan, network.calibration, options.batch, type}, schedule);
    return std::make_unique<LibtorchNetwork>(model, std::move(program), options);
  }
};

}  // namespace

std::shared_ptr<const Engine> make_libtorch_engine() { return std::make_shared<const LibtorchEngine>(); }

}  // namespace halftone
