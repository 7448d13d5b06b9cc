#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/monitor.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/graph/interpreter.hpp"

namespace halftone {
class Team;
}

namespace halftone::internal {

/// Where stages of this folder run: borrowed.
struct Workplace {
  const Model& model;
  const Interpreter& interpreter;
  const Task& task;
  int threads = 1;
  Monitor monitor{};     ///< asked between batches
  Team* team = nullptr;  ///< ranks that share `record` and `damage`
  /// Of the loss that is cross entropy with the labels; the rest is damage.
  double label_share = 0;
};

/// [0, count) in an order drawn by `random`, the same on every machine.
std::vector<std::int64_t> shuffled(std::int64_t count, std::mt19937_64& random);

/// Samples in batches that do not change, beside the clean network's outputs for them. Borrows the data.
class CleanBatches {
 public:
  CleanBatches(const Dataset& data, const std::vector<std::int64_t>& samples, std::int64_t batch_size);

  /// One forward pass; false when stopped.
  bool record(const Workplace& place);

  [[nodiscard]] std::size_t size() const { return indices_.size(); }  ///< in batches
  [[nodiscard]] std::int64_t samples() const;
  [[nodiscard]] std::int64_t samples_in(std::size_t batch) const { return std::ssize(indices_[batch]); }
  /// On the model's device.
  [[nodiscard]] std::vector<at::Tensor> inputs(const Model& model, std::size_t batch) const;
  [[nodiscard]] const std::vector<at::Tensor>& clean(std::size_t batch) const { return outputs_[batch]; }
  /// On the CPU; undefined where the data has none.
  [[nodiscard]] at::Tensor targets(std::size_t batch) const;

 private:
  const Dataset& data_;
  std::vector<std::vector<std::int64_t>> indices_;
  std::vector<std::vector<at::Tensor>> outputs_;
};

/// Loss of every sample of a batch [n], float64: damage, and cross entropy of the first output with the class labels by
/// the place's share. Differentiable where the damage is.
at::Tensor loss(const Workplace& place, const CleanBatches& batches, std::size_t batch,
                const std::vector<at::Tensor>& outputs);

/// Mean loss under `plan`, as evaluation simulates it. One forward pass; nothing when stopped.
std::optional<double> damage(const Workplace& place, const CleanBatches& batches, const Calibration& calibration,
                             const Plan& plan);

}  // namespace halftone::internal
