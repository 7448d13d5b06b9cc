#include "graph/fold_constants.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/passes.hpp"

namespace halftone::internal {

namespace {

const Value& value_at(const Model& model, ValueId id) { return model.graph.values[static_cast<std::size_t>(id)]; }

bool varies(const Argument& argument) {
  const auto grows = [](SymInt number) { return !number.is_fixed(); };
  if (const auto* number = std::get_if<SymInt>(&argument)) return grows(*number);
  const auto* numbers = std::get_if<std::vector<SymInt>>(&argument);
  return numbers != nullptr && std::any_of(numbers->begin(), numbers->end(), grows);
}

/// What turns a weight matrix for a product.
bool is_transposition(const Model& model, const Node& node) {
  const bool swaps = node.op == "aten::t" || node.op == "aten::numpy_T" || node.op == "aten::transpose";
  return swaps && value_at(model, read_values(node).front()).kind == ValueKind::Parameter;
}

bool is_constant(const Model& model, const Node& node) {
  const auto ids = read_values(node);
  return node.outputs.size() == 1 && !node.outputs[0].ids.empty() &&
         std::none_of(node.arguments.begin(), node.arguments.end(), varies) &&
         std::all_of(ids.begin(), ids.end(), [&](ValueId id) { return value_at(model, id).is_data(); }) &&
         !is_transposition(model, node);
}

std::vector<at::Tensor> compute(const Model& model, const Node& node) {
  Model alone;
  alone.graph.values = model.graph.values;
  alone.graph.nodes = {node};
  alone.graph.outputs = node.outputs[0].ids;
  alone.tensors = model.tensors;
  return Interpreter(alone).run({});
}

/// Makes the results of `node` tensors of the model.
void fold(Model& model, const Node& node) {
  const auto ids = read_values(node);
  const auto parameter = std::find_if(ids.begin(), ids.end(),
                                      [&](ValueId id) { return value_at(model, id).kind == ValueKind::Parameter; });
  const bool trained = parameter != ids.end();
  const std::string source = trained ? value_at(model, *parameter).name : "";
  const auto tensors = compute(model, node);
  const auto& results = node.outputs[0].ids;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto id = static_cast<std::size_t>(results[i]);
    model.tensors[id] = tensors[i];
    Value& value = model.graph.values[id];
    value.kind = trained ? ValueKind::Parameter : ValueKind::Constant;
    if (!trained)
      value.name = message("constant_", id);
    else
      value.name = results.size() == 1 ? source : message(source, '/', i);
  }
}

}  // namespace

Model fold_constants(Model model) {
  auto& nodes = model.graph.nodes;
  if (std::any_of(nodes.begin(), nodes.end(), [](const Node& node) { return !node.written.empty(); })) return model;
  const at::NoGradGuard no_grad;
  std::vector<Node> kept;
  for (Node& node : nodes) {
    if (is_constant(model, node))
      fold(model, node);
    else
      kept.push_back(std::move(node));
  }
  nodes = std::move(kept);
  return eliminate_dead_code(std::move(model));
}

}  // namespace halftone::internal
