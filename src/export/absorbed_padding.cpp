#include "export/absorbed_padding.hpp"

#include <algorithm>
#include <optional>

namespace halftone::internal {
namespace {

/// (before, after) of every spatial dimension; nothing where `node` is no zero padding of spatial dimensions alone.
std::optional<std::vector<std::pair<std::int64_t, std::int64_t>>> spatial_padding(const Graph& graph,
                                                                                  const Node& node) {
  const bool named = node.op == "aten::pad";
  if (node.op != "aten::constant_pad_nd" && !named) return std::nullopt;
  if (named && node.arguments[2] != Argument(std::string("constant"))) return std::nullopt;
  const auto* source = std::get_if<ValueRef>(&node.arguments[0]);
  const auto* pairs = std::get_if<std::vector<SymInt>>(&node.arguments[1]);
  if (source == nullptr || pairs == nullptr || !is_zero(node.arguments[named ? 3 : 2])) return std::nullopt;
  const std::size_t rank = graph.values[static_cast<std::size_t>(source->id)].shape.size();
  if (rank < 3 || pairs->size() > 2 * (rank - 2)) return std::nullopt;
  std::vector<std::pair<std::int64_t, std::int64_t>> padding(rank - 2);
  for (std::size_t i = 0; i < pairs->size() / 2; ++i) {
    const SymInt before = (*pairs)[2 * i];
    const SymInt after = (*pairs)[2 * i + 1];
    if (!before.is_fixed() || !after.is_fixed() || before.offset < 0 || after.offset < 0) return std::nullopt;
    padding[padding.size() - 1 - i] = {before.offset, after.offset};
  }
  return padding;
}

/// Whether `node` is a convolution, not transposed, that reads `input` as its activation alone.
bool absorbs(const Node& node, ValueId input) {
  const auto read = read_values(node);
  return node.op == "aten::convolution" && node.arguments[0] == Argument(ValueRef{input}) &&
         node.arguments[6] == Argument(false) && std::count(read.begin(), read.end(), input) == 1;
}

}  // namespace

std::vector<std::int64_t> both_sides(std::vector<std::int64_t> padding) {
  const std::size_t dims = padding.size();
  padding.resize(2 * dims);
  std::copy_n(padding.begin(), dims, padding.begin() + static_cast<std::ptrdiff_t>(dims));
  return padding;
}

AbsorbedPadding::AbsorbedPadding(const Graph& graph) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const auto padding = spatial_padding(graph, node);
    if (!padding) continue;
    const ValueId output = node.outputs[0].ids[0];
    bool only = std::find(graph.outputs.begin(), graph.outputs.end(), output) == graph.outputs.end();
    for (const Node& reader : graph.nodes)
      for (const ValueId id : read_values(reader)) only = only && (id != output || absorbs(reader, output));
    if (!only) continue;
    absorbed_.insert(i);
    Padding& entry = by_output_[output];
    entry.source = std::get<ValueRef>(node.arguments[0]).id;
    for (const auto& [before, after] : *padding) {
      entry.before.push_back(before);
      entry.after.push_back(after);
    }
  }
}

std::pair<ValueId, std::vector<std::int64_t>> AbsorbedPadding::before(ValueId input,
                                                                      std::vector<std::int64_t> padding) const {
  const std::size_t dims = padding.size();
  padding = both_sides(std::move(padding));
  const auto found = by_output_.find(input);
  if (found == by_output_.end()) return {input, padding};
  for (std::size_t i = 0; i < dims; ++i) {
    padding[i] += found->second.before[i];
    padding[dims + i] += found->second.after[i];
  }
  return {found->second.source, padding};
}

}  // namespace halftone::internal
