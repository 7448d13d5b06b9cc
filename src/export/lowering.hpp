#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "export/onnx_graph.hpp"
#include "halftone/graph/model.hpp"

namespace halftone::internal {

/// A value of the ONNX graph, by name.
using OnnxName = std::string;
using OnnxAttributes = std::vector<std::pair<std::string, OnnxAttribute>>;

/// Translates a graph to ONNX node by node: names of values, constants, and arguments with their meaning checked.
class Lowering {
 public:
  /// Borrows both. Where there is no `batch`, the batch stays a dimension known at run time.
  Lowering(const Model& model, OnnxGraph& onnx, std::optional<std::int64_t> batch);

  /// From here on `node` of the graph is translated, called `name` in ONNX.
  void begin(std::size_t node, const std::string& name);

  // --- the node being translated ---
  [[nodiscard]] const Node& node() const { return model_.graph.nodes[index_]; }
  [[nodiscard]] bool has(std::size_t argument) const;    ///< whether it is given
  [[nodiscard]] ValueId id(std::size_t argument) const;  ///< of a tensor argument
  [[nodiscard]] ValueId output_id(std::size_t index = 0) const;
  [[nodiscard]] DType output_dtype() const { return value(output_id()).dtype; }
  [[nodiscard]] double number(std::size_t argument) const;
  [[nodiscard]] std::int64_t integer(std::size_t argument) const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::size_t argument) const;
  [[nodiscard]] bool flag(std::size_t argument) const;
  [[nodiscard]] const std::string& text(std::size_t argument) const;
  /// An argument that counts `rank` dimensions, from the end where negative.
  [[nodiscard]] std::int64_t axis(std::size_t argument, std::int64_t rank) const;
  [[noreturn]] void refuse(const std::string& why) const;

  // --- values ---
  [[nodiscard]] const Value& value(ValueId id) const { return model_.graph.values[static_cast<std::size_t>(id)]; }
  [[nodiscard]] std::int64_t rank(ValueId id) const { return std::ssize(value(id).shape); }
  [[nodiscard]] const at::Tensor& tensor(ValueId id) const { return model_.tensors[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const Model& model() const { return model_; }
  /// The sizes, where the batch is fixed or does not matter; refuses otherwise.
  [[nodiscard]] std::int64_t size(const SymInt& number) const;
  /// As ONNX's Reshape takes them: -1 and 0 stand for the batch where it is not fixed. `from` is what is reshaped.
  [[nodiscard]] std::vector<std::int64_t> reshape_target(const Shape& from, const Shape& to) const;
  /// The name of a value; weights and constants are written at their first use.
  OnnxName in(ValueId id);
  /// The same for a tensor argument.
  OnnxName arg(std::size_t argument) { return in(id(argument)); }
  /// The same, cast where it is not of `dtype`.
  OnnxName in_as(ValueId id, DType dtype);
  /// A tensor or number argument, cast to `dtype`, by default that of the node's output.
  OnnxName operand(std::size_t argument) { return operand(argument, output_dtype()); }
  OnnxName operand(std::size_t argument, DType dtype);
  OnnxName constant(const at::Tensor& tensor);
  OnnxName scalar(double number, DType dtype);
  OnnxName ints(const std::vector<std::int64_t>& numbers);
  OnnxName cast(OnnxName from, DType dtype);

  // --- writing ---
  /// A node on the way, called after the graph node and its own operator; its only output.
  OnnxName emit(const std::string& op, std::vector<OnnxName> inputs, OnnxAttributes attributes = {});
  /// The node that makes the graph node's outputs, called like it.
  void finish(const std::string& op, std::vector<OnnxName> inputs, OnnxAttributes attributes = {});
  /// The graph node's output is `name`, which stands already: no node. Of a list of outputs, the one at `index`.
  void finish_as(const OnnxName& name, std::size_t index = 0);
  /// Stores `bytes` as `OnnxGraph::add_initializer` takes them, under the name that is wanted or one like it.
  OnnxName initializer(const std::string& wanted, OnnxType type, const std::vector<std::int64_t>& shape,
                       std::span<const std::byte> bytes);
  /// Declares the graph's inputs or outputs.
  void declare_inputs();
  void declare_outputs();

 private:
  OnnxName fresh(const std::string& wanted);
  OnnxName output_name(ValueId id, std::size_t index);
  [[nodiscard]] std::vector<OnnxDim> dims(const Shape& shape) const;
  [[nodiscard]] const Argument& argument(std::size_t index) const;

  const Model& model_;
  OnnxGraph& onnx_;
  std::optional<std::int64_t> batch_;
  std::size_t index_ = 0;
  std::string name_;
  std::map<ValueId, OnnxName> names_;
  std::map<std::string, OnnxName> constants_;  ///< by content
  std::set<OnnxName> taken_;
};

OnnxType to_onnx_type(DType dtype);

/// What output `index` of `graph` is called in ONNX.
OnnxName onnx_output_name(const Graph& graph, std::size_t index);

/// What the inputs of `graph` are called in ONNX: by their own names, with a number behind those that are taken.
std::vector<OnnxName> onnx_input_names(const Graph& graph);

/// The order of `rank` dimensions with the last two exchanged.
std::vector<std::int64_t> last_two_exchanged(std::int64_t rank);

/// Translations by ATen operator.
using LowerFn = void (*)(Lowering&);
using LoweringTable = std::map<std::string, LowerFn>;
void add_elementwise(LoweringTable& table);
void add_shapes(LoweringTable& table);
void add_layers(LoweringTable& table);
void add_logic(LoweringTable& table);
void add_pooling(LoweringTable& table);

}  // namespace halftone::internal
