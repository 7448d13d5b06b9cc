#include <map>
#include <optional>

#include "halftone/latency/measured.hpp"

namespace halftone {

std::vector<SiteEdge> find_edges(const Graph& graph, std::span<const Site> sites) {
  // For every value the last site that it depends on; sites end the trace.
  std::vector<std::optional<std::size_t>> last(graph.values.size());
  std::map<std::size_t, std::size_t> site_of_node;
  for (std::size_t i = 0; i < sites.size(); ++i)
    if (sites[i].has_weight()) site_of_node[sites[i].node] = i;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    std::optional<std::size_t> source;
    if (const auto site = site_of_node.find(n); site != site_of_node.end()) {
      source = site->second;
    } else {
      for (const ValueId id : read_values(graph.nodes[n]))
        source = std::max(source, last[static_cast<std::size_t>(id)]);
    }
    for (const auto& output : graph.nodes[n].outputs)
      for (const ValueId id : output.ids) last[static_cast<std::size_t>(id)] = source;
  }
  std::vector<SiteEdge> edges;
  std::map<ValueId, std::size_t> first_reader;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const auto elements = static_cast<double>(sites[i].input_elements);
    const auto [reader, is_first] = first_reader.try_emplace(sites[i].input, i);
    if (!is_first)
      edges.push_back({reader->second, i, elements});
    else if (const auto source = last[static_cast<std::size_t>(sites[i].input)])
      edges.push_back({*source, i, elements});
  }
  return edges;
}

}  // namespace halftone
