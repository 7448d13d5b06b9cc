#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/batches.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/sensitivity/metric.hpp"

namespace halftone::internal {

using Tensors = std::vector<at::Tensor>;

/// A forward pass of one batch with gradients on. Every site has variables of its own, also where it shares its tensors
/// with others.
struct GradientPass {
  BatchRange batch;
  Tensors outputs;
  Tensors clean;    ///< the same without gradients
  Tensors weights;  ///< by site; undefined for operands of additions
  Tensors inputs;   ///< by site: its own reading of the activation; all undefined where not asked for
};

/// d(sum_i outputs_i . directions_i) / d variables, zeros where nothing reaches; the graph is kept. Of a gradient this
/// is the product of a Hessian with a vector. Throws `Unsupported` naming `metric` where LibTorch has no derivative.
Tensors products(const std::string& metric, const Tensors& outputs, const Tensors& directions,
                 const Tensors& variables);

/// Gradient of a number that can be differentiated again. Throws as `products`.
Tensors differentiable_gradient(const std::string& metric, const at::Tensor& value, const Tensors& variables);

/// `Task::response` [n, d], 0 everywhere, whose Jacobian J gives the Hessian of damage as J^T J. Throws `Unsupported`
/// naming `metric` where the task detaches it.
at::Tensor response_of(const SensitivityInput& input, const std::string& metric, const GradientPass& pass);

/// Random signs [n, d] for responses. Every sample has a stream of its own, so that batches of any size see the same.
at::Tensor signs_of_samples(const at::Tensor& response, const BatchRange& batch, std::uint64_t seed);

/// Takes all samples of `input` through the network with gradients on, batch by batch.
class GradientLoop {
 public:
  struct Options {
    bool inputs = false;      ///< activations are variables too
    bool second = false;      ///< second derivatives of damage are needed
    bool response = false;    ///< the Jacobian of `Task::response` stands for them
    std::int64_t copies = 2;  ///< memory of a batch, in all its activations
  };
  /// To be called after each step of a batch; throws `Stopped`.
  using StepFn = std::function<void()>;
  /// What came of one batch.
  struct Work {
    std::vector<double> results;
    double backward_passes = 0;
  };
  using WorkFn = std::function<Work(const GradientPass& pass, const StepFn& step)>;
  /// Gets the results of a batch, on every rank; in parallel for different batches.
  using TakeFn = std::function<void(std::int64_t batch, std::span<const double> results)>;

  /// Borrows `input`. Throws `InvalidArgument` without samples and where not one sample fits into its `most_bytes`,
  /// `Unsupported` for a site whose operands are neither float32 nor float64.
  GradientLoop(const SensitivityInput& input, std::string metric, const Options& options);

  /// `work`, of `steps` steps, on the first `most_batches` batches, in parallel and split among ranks. Before its first
  /// batch the network and the task are tried: throws `Unsupported` where a gradient that a metric needs does not exist
  /// or is lost on the way; where it is 0, further batches are tried before. Throws `InvalidArgument` where memory runs
  /// out.
  void run(std::int64_t steps, const WorkFn& work, const TakeFn& take, std::int64_t most_batches);
  void run(std::int64_t steps, const WorkFn& work, const TakeFn& take) { run(steps, work, take, batches()); }

  [[nodiscard]] std::int64_t batches() const;
  /// Over the data, by all runs so far.
  [[nodiscard]] double forward_passes() const { return forward_passes_; }
  [[nodiscard]] double backward_passes() const { return backward_passes_; }

 private:
  [[nodiscard]] GradientPass forward(const BatchRange& batch) const;
  void try_out(const GradientPass& pass, const std::atomic<bool>& stopped) const;
  void require_reached(const GradientPass& pass, const std::atomic<bool>& stopped) const;

  const SensitivityInput& input_;
  std::string metric_;
  Options options_;
  Interpreter interpreter_;
  std::int64_t sample_bytes_;
  std::int64_t batch_size_;
  int threads_;
  int runs_ = 0;
  bool is_tried_ = false;
  double forward_passes_ = 0;
  double backward_passes_ = 0;
};

/// Attention by its plain formula while one lives: the fused kernels have no second derivative. Settings of the
/// process, which the last one puts back.
class PlainAttention {
 public:
  PlainAttention();
  ~PlainAttention();
  PlainAttention(const PlainAttention&) = delete;
  PlainAttention& operator=(const PlainAttention&) = delete;
};

}  // namespace halftone::internal
