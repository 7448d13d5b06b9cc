#include "calibrate/token_ids.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "halftone/core/error.hpp"

namespace halftone::internal {

std::optional<std::int64_t> vocabulary(const Graph& graph, ValueId input) {
  std::optional<std::int64_t> rows;
  for (const Node& node : graph.nodes) {
    if (node.op != "aten::embedding" || std::get<ValueRef>(node.arguments[1]).id != input) continue;
    const Value& table = graph.values[static_cast<std::size_t>(std::get<ValueRef>(node.arguments[0]).id)];
    if (table.is_data()) rows = std::min(rows.value_or(table.shape[0].offset), table.shape[0].offset);
  }
  return rows;
}

void require_known_ids(const Graph& graph, const Dataset& data) {
  constexpr std::int64_t kAtOnce = 256;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const auto rows = vocabulary(graph, graph.inputs[i]);
    for (std::int64_t begin = 0; rows && begin < data.size(); begin += kAtOnce) {
      const auto inputs = data.range(begin, std::min(begin + kAtOnce, data.size())).inputs;
      if (i >= inputs.size()) return;  // the network says so
      const at::Tensor unknown = (inputs[i] < 0).logical_or(inputs[i] >= *rows);
      if (!unknown.any().item<bool>()) continue;
      throw Error(Errc::InvalidArgument,
                  message("input \"", graph.values[static_cast<std::size_t>(graph.inputs[i])].name, "\" of sample ",
                          begin + unknown.nonzero()[0][0].item<std::int64_t>(), " of ", data.name(), " holds ",
                          inputs[i].masked_select(unknown)[0].item<std::int64_t>(),
                          ": the network knows ids from 0 to ", *rows - 1));
    }
  }
}

}  // namespace halftone::internal
