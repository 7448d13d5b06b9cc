#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "halftone/graph/graph.hpp"

namespace halftone::internal {

/// The tensors of one pass by id: values of the graph, then uint8 copies, and a last one for emulated sites to work on.
using Frame = std::vector<at::Tensor>;

/// A call of an operator with all but its computed tensors filled in. May be run in parallel, each in its own frame.
class OperatorCall {
 public:
  /// Throws `Unsupported` where this LibTorch lacks the operator, or where it takes another number of arguments.
  OperatorCall(const std::string& op, const std::string& overload, std::size_t arguments);
  /// The same with all arguments but computed tensors.
  OperatorCall(const std::string& op, const std::string& overload, torch::jit::Stack arguments);

  [[nodiscard]] const c10::Argument& argument(std::size_t index) const { return op_.schema().arguments()[index]; }
  /// A fixed argument.
  void set(std::size_t index, c10::IValue value) { arguments_[index] = std::move(value); }
  /// Puts `frame[id]` into argument `index`.
  void read(std::size_t index, ValueId id) { tensors_.emplace_back(index, id); }
  /// Puts a list of tensors there; without an id, that of `constant` or none.
  struct Item {
    std::optional<ValueId> id;
    at::Tensor constant{};
  };
  void read_list(std::size_t index, std::vector<Item> items);
  void write(std::vector<Output> outputs) { outputs_ = std::move(outputs); }
  /// Type that floating operands are converted to beforehand.
  void compute_in(at::ScalarType type);
  /// Type that floating results are converted to afterwards.
  void give(at::ScalarType type) { give_ = type; }

  void operator()(Frame& frame) const;

 private:
  struct List {
    std::size_t index;
    bool optional;  ///< the operator takes optional tensors
    std::vector<Item> items;
  };

  [[nodiscard]] at::Tensor operand(at::Tensor tensor) const;
  [[nodiscard]] c10::IValue list(const List& list, const Frame& frame) const;
  void store(Frame& frame, torch::jit::Stack& stack) const;

  c10::OperatorHandle op_;
  torch::jit::Stack arguments_;
  std::vector<std::pair<std::size_t, ValueId>> tensors_;
  std::vector<List> lists_;
  std::vector<Output> outputs_;
  std::optional<at::ScalarType> compute_in_;
  std::optional<at::ScalarType> give_;
};

}  // namespace halftone::internal
