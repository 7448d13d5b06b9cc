#include <array>

#include "engine/libtorch/schedule.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

std::string short_name(const Node& node) { return node.op.substr(node.op.find("::") + 2); }

}  // namespace

std::string to_string(const Schedule& schedule, const Graph& graph, const std::vector<Site>& sites) {
  std::string text;
  for (const Step& step : schedule.steps) {
    if (step.kind == Step::Kind::Quantize) {
      text += "quantize for " + describe_place(graph, step.node);
    } else if (step.kind == Step::Kind::Convert) {
      text += "convert " + graph.values[static_cast<std::size_t>(step.input)].name;
    } else if (step.kind == Step::Kind::Operator) {
      text += short_name(graph.nodes[step.node]) + (step.params ? " (u8)" : "");
    } else {
      text += sites[step.fused.site].name;
      for (std::size_t i = 1; i < step.fused.nodes.size(); ++i)
        text += " + " + short_name(graph.nodes[step.fused.nodes[i]]);
      constexpr std::array kKernels{" (u8)", " (packed)", " (operator)", " (emulated)"};
      text += message(kKernels[static_cast<std::size_t>(step.kernel)], step.params ? " -> u8" : "");
    }
    text += '\n';
  }
  return text;
}

}  // namespace halftone::internal
