#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "halftone/core/dtype.hpp"

namespace halftone {

/// Index into `Graph::values`.
using ValueId = std::int32_t;

/// What the sizes of a graph may depend on.
struct Sizes {
  std::int64_t batch = 1;
  std::int64_t length = 0;  ///< tokens, frames: whatever `CaptureOptions::length_dimension` runs along
};

/// An integer that may grow with the batch size B and the length L: offset + batch * B + length * L + both * B * L.
struct SymInt {
  std::int64_t offset = 0;
  std::int64_t batch = 0;
  std::int64_t length = 0;
  std::int64_t both = 0;

  [[nodiscard]] bool is_fixed() const { return batch == 0 && length == 0 && both == 0; }
  [[nodiscard]] std::int64_t at(const Sizes& sizes) const {
    return offset + batch * sizes.batch + (length + both * sizes.batch) * sizes.length;
  }
  /// The same where L is known.
  [[nodiscard]] SymInt with_length(std::int64_t known) const { return {offset + length * known, batch + both * known}; }
  bool operator==(const SymInt&) const = default;
};

using Shape = std::vector<SymInt>;

/// `shape` where B and L are known.
std::vector<std::int64_t> sizes_at(const Shape& shape, const Sizes& sizes);

enum class ValueKind {
  Input,
  Parameter,  ///< trained weights and buffers; named as in the module
  Constant,   ///< a tensor the module made outside the graph
  Computed,
};

/// One tensor of the graph.
struct Value {
  ValueKind kind = ValueKind::Computed;
  std::string name;  ///< of inputs, parameters and constants; empty for computed values
  Shape shape;
  DType dtype = DType::Float32;

  /// Whether its tensor is part of the model: it is the same in every pass.
  [[nodiscard]] bool is_data() const { return kind == ValueKind::Parameter || kind == ValueKind::Constant; }
};

struct None {
  bool operator==(const None&) const = default;
};

/// A tensor argument.
struct ValueRef {
  ValueId id = 0;
  bool operator==(const ValueRef&) const = default;
};

/// The device of the model's parameters, whatever it is when the graph is run.
struct ModelDevice {
  bool operator==(const ModelDevice&) const = default;
};

/// An argument of an ATen call. Element types, layouts and memory formats are integers, as in LibTorch.
using Argument = std::variant<None, ValueRef, std::vector<std::optional<ValueId>>, SymInt, std::vector<SymInt>, double,
                              std::vector<double>, bool, std::vector<bool>, std::string, ModelDevice>;

/// Whether `argument` is the number 0, which is also what an argument that is not given mostly stands for.
bool is_zero(const Argument& argument);

/// What one return of an ATen call gives: a tensor, a list of tensors, or (no ids, not a list) something that
/// nothing reads.
struct Output {
  bool is_list = false;
  std::vector<ValueId> ids;
};

/// One ATen call: `op` ("aten::conv2d") with `overload` (often empty).
struct Node {
  std::string op;
  std::string overload;
  std::vector<Argument> arguments;     ///< one for each argument of the operator's schema
  std::vector<Output> outputs;         ///< one for each return of the schema
  std::vector<std::size_t> written{};  ///< indices of arguments that it changes in place; mostly none
};

/// A straight list of ATen calls in static single assignment form. Holds no tensor data.
struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;  ///< in execution order
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::int64_t length = 0;  ///< L as captured, at which sites are counted and timed; 0 where no size depends on it

  /// `batch` samples of the captured length.
  [[nodiscard]] Sizes sizes(std::int64_t batch) const { return {batch, length}; }
};

/// Every value that `node` reads, in argument order; a value read twice appears twice.
std::vector<ValueId> read_values(const Node& node);

/// The values that `node` changes in place.
std::vector<ValueId> written_values(const Node& node);

/// For each value whether an output depends on it; inputs are live, and so is what nodes that write in place read.
std::vector<bool> live_values(const Graph& graph);

/// Whether `node` makes a value of `live`, or writes in place, which others may see.
bool is_needed(const Node& node, const std::vector<bool>& live);

/// B and L of a pass whose inputs have `shapes`, in the order of the graph's inputs: the first dimension of the first
/// input, and that of an input which is L; 0 where there is none.
Sizes find_sizes(const Graph& graph, std::span<const std::vector<std::int64_t>> shapes);

/// Throws `InvalidArgument` where no input of `graph` depends on the batch size, and `batch` is neither 1 (a pass as it
/// was captured) nor the first dimension of an input.
void require_batch(const Graph& graph, std::int64_t batch);

/// Puts `to` wherever a node or the graph's outputs read `from`.
void replace_value(Graph& graph, ValueId from, ValueId to);

/// "%7 = aten::conv2d(%3, conv1.weight, …)", one line a node.
std::string to_string(const Graph& graph);

/// A name for node `index` that a person can find in the model: operator, position and the last parameter used
/// up to it, e.g. "aten::relu (operator 5, after layer1.0.conv1)".
std::string describe_place(const Graph& graph, std::size_t index);

}  // namespace halftone
