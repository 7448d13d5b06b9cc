#include "halftone/graph/site.hpp"

#include <map>

namespace halftone {

namespace {

std::int64_t elements_of_one_sample(const Shape& shape) {
  std::int64_t product = 1;
  for (const auto size : shape) product *= size.at(1);
  return product;
}

const Value& value_at(const Graph& graph, ValueId id) { return graph.values[static_cast<std::size_t>(id)]; }

std::string site_name(const std::string& weight) {
  constexpr std::string_view kSuffix = ".weight";
  return weight.ends_with(kSuffix) && weight.size() > kSuffix.size() ? weight.substr(0, weight.size() - kSuffix.size())
                                                                     : weight;
}

Site make_site(const Graph& graph, std::size_t index) {
  const Node& node = graph.nodes[index];
  Site site;
  site.node = index;
  site.kind = node.op == "aten::convolution" ? SiteKind::Convolution : SiteKind::Linear;
  site.input = std::get<ValueRef>(node.arguments[0]).id;
  site.weight = std::get<ValueRef>(node.arguments[1]).id;
  const Value& weight = value_at(graph, site.weight);
  site.name = site_name(weight.name);
  site.input_shape = value_at(graph, site.input).shape;
  site.output_shape = value_at(graph, node.outputs[0].ids[0]).shape;
  for (const auto size : weight.shape) site.weight_shape.push_back(size.offset);
  site.weight_elements = elements_of_one_sample(weight.shape);
  site.input_elements = elements_of_one_sample(site.input_shape);
  site.output_elements = elements_of_one_sample(site.output_shape);
  bool transposed = false;
  if (site.kind == SiteKind::Convolution) {
    transposed = std::get<bool>(node.arguments[6]);
    site.groups = std::get<BatchInt>(node.arguments[8]).offset;
  }
  site.weight_channel_axis = transposed ? 1 : 0;
  // Every output element (of a transposed convolution: every input element) meets one weight slice.
  site.macs = (transposed ? site.input_elements : site.output_elements) * (site.weight_elements / site.weight_shape[0]);
  return site;
}

}  // namespace

std::vector<Site> find_sites(const Graph& graph) {
  std::vector<Site> sites;
  std::map<std::string, int> uses;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op != "aten::convolution" && node.op != "aten::linear") continue;
    const auto* weight = std::get_if<ValueRef>(&node.arguments[1]);
    if (weight == nullptr || !std::holds_alternative<ValueRef>(node.arguments[0])) continue;
    const ValueKind kind = value_at(graph, weight->id).kind;
    if (kind != ValueKind::Parameter && kind != ValueKind::Constant) continue;
    if (elements_of_one_sample(value_at(graph, weight->id).shape) == 0) continue;
    Site site = make_site(graph, i);
    if (const int use = ++uses[site.name]; use > 1) site.name += '#' + std::to_string(use);
    sites.push_back(std::move(site));
  }
  return sites;
}

}  // namespace halftone
