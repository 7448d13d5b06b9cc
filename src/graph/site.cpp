#include "halftone/graph/site.hpp"

#include <map>

#include "halftone/core/error.hpp"

namespace halftone {

namespace {

/// At the length that the graph was captured at.
Shape shape_of(const Graph& graph, ValueId id) {
  Shape shape = graph.values[static_cast<std::size_t>(id)].shape;
  for (SymInt& size : shape) size = size.with_length(graph.length);
  return shape;
}

std::int64_t elements_of_one_sample(const Shape& shape) {
  std::int64_t product = 1;
  for (const auto size : shape) product *= size.at({1});
  return product;
}

const Value& value_at(const Graph& graph, ValueId id) { return graph.values[static_cast<std::size_t>(id)]; }

std::string site_name(const std::string& weight) {
  constexpr std::string_view kSuffix = ".weight";
  return weight.ends_with(kSuffix) && weight.size() > kSuffix.size() ? weight.substr(0, weight.size() - kSuffix.size())
                                                                     : weight;
}

/// A list of numbers for the dimensions of a kernel, in which one may stand for all.
std::vector<std::int64_t> fixed_numbers(const Argument& argument, std::size_t dimensions) {
  std::vector<std::int64_t> numbers;
  for (const SymInt number : std::get<std::vector<SymInt>>(argument)) numbers.push_back(number.offset);
  if (numbers.size() == 1) numbers.resize(dimensions, numbers[0]);
  return numbers;
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
  site.input_shape = shape_of(graph, site.input);
  site.output_shape = shape_of(graph, node.outputs[0].ids[0]);
  for (const auto size : weight.shape) site.weight_shape.push_back(size.offset);
  site.weight_elements = elements_of_one_sample(weight.shape);
  site.input_elements = elements_of_one_sample(site.input_shape);
  site.output_elements = elements_of_one_sample(site.output_shape);
  bool transposed = false;
  if (site.kind == SiteKind::Convolution) {
    transposed = std::get<bool>(node.arguments[6]);
    site.groups = std::get<SymInt>(node.arguments[8]).offset;
    const std::size_t dimensions = site.weight_shape.size() - 2;
    site.stride = fixed_numbers(node.arguments[3], dimensions);
    site.padding = fixed_numbers(node.arguments[4], dimensions);
    site.dilation = fixed_numbers(node.arguments[5], dimensions);
  }
  site.weight_channel_axis = transposed ? 1 : 0;
  // Every output element (of a transposed convolution: every input element) meets one weight slice.
  site.macs = (transposed ? site.input_elements : site.output_elements) * (site.weight_elements / site.weight_shape[0]);
  return site;
}

bool reads_weight(const Graph& graph, const Node& node) {
  if (node.op != "aten::convolution" && node.op != "aten::linear") return false;
  const auto* weight = std::get_if<ValueRef>(&node.arguments[1]);
  if (weight == nullptr || !std::holds_alternative<ValueRef>(node.arguments[0])) return false;
  const ValueKind kind = value_at(graph, weight->id).kind;
  if (kind != ValueKind::Parameter && kind != ValueKind::Constant) return false;
  return elements_of_one_sample(value_at(graph, weight->id).shape) != 0;
}

/// Values that depend on a site.
class Downstream {
 public:
  explicit Downstream(const Graph& graph) : depends_(graph.values.size()) {}

  void add(const Node& node, bool is_site) {
    bool depends = is_site;
    for (const ValueId id : read_values(node)) depends = depends || (*this)[id];
    for (const auto& output : node.outputs)
      for (const ValueId id : output.ids) depends_[static_cast<std::size_t>(id)] = depends;
  }
  [[nodiscard]] bool operator[](ValueId id) const { return depends_[static_cast<std::size_t>(id)]; }

 private:
  std::vector<bool> depends_;
};

/// Whether both operands are float32 activations that sites have a part in.
bool joins_activations(const Graph& graph, const Node& node, const Downstream& downstream) {
  if (node.arguments.size() < 2 || !node.written.empty()) return false;
  const auto* left = std::get_if<ValueRef>(&node.arguments[0]);
  const auto* right = std::get_if<ValueRef>(&node.arguments[1]);
  return left != nullptr && right != nullptr && downstream[left->id] && downstream[right->id] &&
         value_at(graph, left->id).dtype == DType::Float32 && value_at(graph, right->id).dtype == DType::Float32;
}

const Shape& operand_shape(const Graph& graph, const Node& node, std::size_t argument) {
  return value_at(graph, std::get<ValueRef>(node.arguments[argument]).id).shape;
}

bool is_residual(const Graph& graph, const Node& node, const Downstream& downstream) {
  return node.op == "aten::add" && node.overload == "Tensor" && joins_activations(graph, node, downstream) &&
         node.arguments[2] == Argument(SymInt{1}) && operand_shape(graph, node, 0) == operand_shape(graph, node, 1);
}

bool is_product(const Graph& graph, const Node& node, const Downstream& downstream) {
  return (node.op == "aten::matmul" || node.op == "aten::bmm") && joins_activations(graph, node, downstream) &&
         operand_shape(graph, node, 0).size() >= 3 && operand_shape(graph, node, 1).size() >= 3;
}

Site make_operand(const Graph& graph, std::size_t index, std::size_t argument, SiteKind kind,
                  const std::string& last_site) {
  const Node& node = graph.nodes[index];
  Site site;
  site.name = message(last_site, '/', to_string(kind), '.', argument);
  site.kind = kind;
  site.node = index;
  site.argument = argument;
  site.input = std::get<ValueRef>(node.arguments[argument]).id;
  site.weight = -1;
  site.input_shape = shape_of(graph, site.input);
  site.output_shape = shape_of(graph, node.outputs[0].ids[0]);
  site.input_elements = elements_of_one_sample(site.input_shape);
  if (kind == SiteKind::Product) {
    const std::int64_t outputs = elements_of_one_sample(site.output_shape);
    const std::int64_t macs = outputs * shape_of(graph, std::get<ValueRef>(node.arguments[0]).id).back().at({1});
    site.macs = argument == 0 ? macs - macs / 2 : macs / 2;
    if (argument == 0) site.output_elements = outputs;
  }
  return site;
}

}  // namespace

std::vector<Site> find_sites(const Graph& graph, const SiteOptions& options) {
  std::vector<Site> sites;
  std::map<std::string, int> uses;
  const auto add = [&](Site site) {
    if (const int use = ++uses[site.name]; use > 1) site.name += '#' + std::to_string(use);
    sites.push_back(std::move(site));
  };
  Downstream downstream(graph);
  std::string last_site;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const bool is_site = reads_weight(graph, node);
    downstream.add(node, is_site);
    if (is_site) {
      add(make_site(graph, i));
      last_site = sites.back().name;
    } else if (options.additions && is_residual(graph, node, downstream)) {
      for (const std::size_t operand : {0U, 1U}) add(make_operand(graph, i, operand, SiteKind::Addition, last_site));
    } else if (options.products && is_product(graph, node, downstream)) {
      for (const std::size_t operand : {0U, 1U}) add(make_operand(graph, i, operand, SiteKind::Product, last_site));
    }
  }
  return sites;
}

}  // namespace halftone
