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

bool depends_on_batch(const Argument& argument) {
  const auto grows = [](SymInt number) { return !number.is_fixed(); };
  if (const auto* number = std::get_if<SymInt>(&argument)) return grows(*number);
  const auto* numbers = std::get_if<std::vector<SymInt>>(&argument);
  return numbers != nullptr && std::any_of(numbers->begin(), numbers->end(), grows);
}

bool is_constant(const Model& model, const Node& node) {
  const auto ids = read_values(node);
  return node.outputs.size() == 1 && !node.outputs[0].is_list && node.outputs[0].ids.size() == 1 &&
         std::none_of(node.arguments.begin(), node.arguments.end(), depends_on_batch) &&
         std::all_of(ids.begin(), ids.end(), [&](ValueId id) {
           return model.graph.values[static_cast<std::size_t>(id)].kind == ValueKind::Constant;
         });
}

at::Tensor compute(const Model& model, const Node& node) {
  Model alone;
  alone.graph.values = model.graph.values;
  alone.graph.nodes = {node};
  alone.graph.outputs = node.outputs[0].ids;
  alone.tensors = model.tensors;
  return Interpreter(alone).run({})[0];
}

}  // namespace

Model fold_constants(Model model) {
  auto& nodes = model.graph.nodes;
  if (std::any_of(nodes.begin(), nodes.end(), [](const Node& node) { return !node.written.empty(); })) return model;
  const at::NoGradGuard no_grad;
  std::vector<Node> kept;
  for (Node& node : nodes) {
    if (!is_constant(model, node)) {
      kept.push_back(std::move(node));
      continue;
    }
    const auto id = static_cast<std::size_t>(node.outputs[0].ids[0]);
    model.tensors[id] = compute(model, node);
    model.graph.values[id].kind = ValueKind::Constant;
    model.graph.values[id].name = message("constant_", id);
  }
  nodes = std::move(kept);
  return eliminate_dead_code(std::move(model));
}

}  // namespace halftone::internal
