#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

/// What runs where no integers do: operands of 16 bits, and everything that is no site.
enum class FloatType { BFloat16, Float32 };

constexpr const char* to_string(FloatType type) { return type == FloatType::BFloat16 ? "bf16" : "f32"; }

struct CompileOptions {
  std::int64_t batch = 1;   ///< samples a pass; engines compile for one size. As `require_batch`
  std::int64_t length = 0;  ///< of the inputs, where the graph leaves it open; 0: as captured. As `with_length`
  int threads = 1;          ///< that one pass uses
  int parallel = 1;         ///< calls of `run` at one time
  FloatType float_type = FloatType::BFloat16;
  bool profile = false;  ///< whether `CompiledNetwork::profile` is wanted; may cost time
};

std::vector<std::string> validate(const CompileOptions& options);

/// One operation of a compiled network.
struct EngineNode {
  std::string name;
  std::string kind;                ///< in the engine's words, e.g. "Convolution"
  std::string type;                ///< that it computes in, in the engine's words, e.g. "u8"
  std::vector<std::string> sites;  ///< that it runs, by name; mostly one or none. Operands of additions are not told
  double microseconds = 0;         ///< of the last pass; 0 where not profiled
};

/// A network compiled for one engine. Up to `CompileOptions::parallel` threads may call `run` at one time.
class CompiledNetwork {
 public:
  virtual ~CompiledNetwork() = default;

  /// One pass: inputs [batch, …] in the order of the graph's inputs, on the CPU; outputs likewise. Fewer samples than
  /// the batch are filled up with copies of the last one, whose results are dropped. Throws `InvalidArgument` for wrong
  /// inputs, naming the one, and for fewer samples where a computed output has no dimension for them.
  [[nodiscard]] std::vector<at::Tensor> run(std::span<const at::Tensor> inputs);

  /// The same pass again, for timing: neither copies inputs nor makes outputs. Only after `run`, by one thread; what
  /// `run` was given must not have changed meanwhile, and may be kept alive until its next call.
  virtual void repeat() = 0;

  /// What the engine made of the network, in execution order.
  [[nodiscard]] virtual std::vector<EngineNode> profile() = 0;

 protected:
  CompiledNetwork(const Model& model, std::int64_t batch);

 private:
  [[nodiscard]] virtual std::vector<at::Tensor> do_run(std::span<const at::Tensor> inputs) = 0;

  struct Input {
    std::string name;
    Shape shape;
    DType dtype;
  };
  std::vector<Input> inputs_;
  std::vector<Value> outputs_;
  std::int64_t batch_;
};

/// Runs networks with real low-precision kernels.
class Engine {
 public:
  virtual ~Engine() = default;

  [[nodiscard]] virtual std::string name() const = 0;     ///< as the command line spells it, e.g. "openvino"
  [[nodiscard]] virtual std::string version() const = 0;  ///< with what decides speed, e.g. "2026.4.1"
  /// Throws `Unsupported`, naming the feature and the way round, where this machine cannot run `type` fast.
  virtual void require(FloatType type) const = 0;
  /// The same for 8-bit integers. By default there is nothing to ask for.
  virtual void require_integers() const {}

  /// Throws `Unsupported` naming an operator that the engine does not have, `InvalidArgument` as `require_ranges` and
  /// `require_batch`, and as `require`, for plans with integers also as `require_integers`.
  [[nodiscard]] std::unique_ptr<CompiledNetwork> compile(const Model& model, const Plan& plan,
                                                         const Calibration& calibration,
                                                         const CompileOptions& options = {}) const;

 private:
  [[nodiscard]] virtual std::unique_ptr<CompiledNetwork> do_compile(const Model& model, const Plan& plan,
                                                                    const Calibration& calibration,
                                                                    const CompileOptions& options) const = 0;
};

/// LibTorch on the CPU: oneDNN's integer kernels for sites of at most 8 bits (widths below 8 use some of the 8-bit
/// integers), its float kernels with packed weights for the rest. A site that no integer kernel takes (transposed
/// convolutions, one narrow and one 16-bit operand) is emulated in float32 and says so in `profile`.
std::shared_ptr<const Engine> make_libtorch_engine();

/// OpenVINO on the CPU. Throws `Unsupported` where Halftone was built without it, or where it cannot be loaded.
std::shared_ptr<const Engine> make_openvino_engine();

/// bfloat16 where `engine` runs it fast on this machine, else float32.
FloatType preferred_float(const Engine& engine);

/// Whether Halftone was built with OpenVINO.
bool has_openvino();

}  // namespace halftone
