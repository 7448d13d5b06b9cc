#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <span>
#include <vector>

#include "engine/libtorch/binding.hpp"

namespace halftone::internal {

/// A scheduled network with its tensors: weights packed, operators looked up, every argument but the computed tensors
/// filled in. Running it changes nothing but the frame, so it may run in parallel.
class Program {
 public:
  /// Runs every step once, on random inputs. Throws as `bind`. Cost: about one pass, and the weights packed.
  Program(const Target& target, const Schedule& schedule);

  /// One pass. Inputs [batch, …] contiguous, as the graph declares them; not changed. `microseconds`, where given, gets
  /// the time of each node.
  [[nodiscard]] Frame run(std::span<const at::Tensor> inputs, std::vector<double>* microseconds = nullptr) const;

  /// The graph's outputs after a pass, in memory of their own, in the types of the graph.
  [[nodiscard]] std::vector<at::Tensor> outputs(const Frame& frame) const;

  [[nodiscard]] const std::vector<BoundStep>& steps() const { return steps_; }

 private:
  struct Result {
    ValueId id;
    at::ScalarType type;
    at::Tensor data{};  ///< of an output that is a parameter or constant
  };

  [[nodiscard]] Frame frame_of(std::span<const at::Tensor> inputs) const;
  void find_last_uses(const Graph& graph, const Schedule& schedule);
  void drop_after(std::size_t step, Frame& frame) const;

  std::size_t frame_size_ = 0;
  std::vector<ValueId> inputs_;
  std::map<ValueId, at::Tensor> data_;  ///< parameters and constants that a step takes from the frame
  std::vector<Result> results_;
  std::vector<BoundStep> steps_;
  std::vector<std::vector<ValueId>> last_uses_;  ///< by step: what nothing reads afterwards
};

}  // namespace halftone::internal
