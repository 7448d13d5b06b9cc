#include "halftone/graph/passes.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "graph/attention_products.hpp"
#include "graph/fold_constants.hpp"
#include "halftone/core/error.hpp"

namespace halftone {

namespace {

Value& value_at(Graph& graph, ValueId id) { return graph.values[static_cast<std::size_t>(id)]; }

/// Who makes and who reads each value of a graph that does not change meanwhile.
struct Uses {
  std::vector<std::ptrdiff_t> producer;  ///< node index, -1 for inputs, parameters and constants
  std::vector<int> readers;              ///< graph outputs count

  explicit Uses(const Graph& graph) : producer(graph.values.size(), -1), readers(graph.values.size(), 0) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      for (const auto id : read_values(graph.nodes[i])) ++readers[static_cast<std::size_t>(id)];
      for (const auto& output : graph.nodes[i].outputs)
        for (const auto id : output.ids) producer[static_cast<std::size_t>(id)] = static_cast<std::ptrdiff_t>(i);
    }
    for (const auto id : graph.outputs) ++readers[static_cast<std::size_t>(id)];
  }

  [[nodiscard]] const Node* producer_of(const Graph& graph, ValueId id) const {
    const auto node = producer[static_cast<std::size_t>(id)];
    return node < 0 ? nullptr : &graph.nodes[static_cast<std::size_t>(node)];
  }
};

std::optional<ValueId> tensor_argument(const Node& node, std::size_t index) {
  if (index >= node.arguments.size()) return std::nullopt;
  const auto* ref = std::get_if<ValueRef>(&node.arguments[index]);
  return ref == nullptr ? std::nullopt : std::optional(ref->id);
}

ValueId add_parameter(Model& model, std::string name, const at::Tensor& tensor, DType dtype) {
  Shape shape;
  for (const auto size : tensor.sizes()) shape.push_back({size});
  model.graph.values.push_back({ValueKind::Parameter, std::move(name), std::move(shape), dtype});
  model.tensors.push_back(tensor);
  return static_cast<ValueId>(model.graph.values.size() - 1);
}

// --- convolutions ---------------------------------------------------------------------------------------------------

/// Numbers per spatial dimension; a single one stands for all.
std::optional<std::vector<SymInt>> spatial(const Argument& argument, std::size_t dims) {
  const auto* list = std::get_if<std::vector<SymInt>>(&argument);
  if (list == nullptr || list->empty()) return std::nullopt;
  return list->size() == dims ? *list : std::vector<SymInt>(dims, (*list)[0]);
}

/// "valid", or "same" where it is symmetric.
std::optional<std::vector<SymInt>> named_padding(const std::string& name, const Shape& weight,
                                                 const std::vector<SymInt>& dilation) {
  std::vector<SymInt> padding(dilation.size());
  if (name == "valid") return padding;
  for (std::size_t d = 0; d < dilation.size(); ++d) {
    const std::int64_t total = dilation[d].offset * (weight[d + 2].offset - 1);
    if (total % 2 != 0) return std::nullopt;
    padding[d].offset = total / 2;
  }
  return padding;
}

/// input, weight, bias, stride, padding, dilation, transposed, output padding, groups; nothing for other operators.
std::optional<std::vector<Argument>> convolution_arguments(const Graph& graph, const Node& node) {
  const auto& a = node.arguments;
  const bool plain = node.op == "aten::conv1d" || node.op == "aten::conv2d" || node.op == "aten::conv3d";
  const bool transposed =
      node.op == "aten::conv_transpose1d" || node.op == "aten::conv_transpose2d" || node.op == "aten::conv_transpose3d";
  const bool any = node.op == "aten::convolution" || node.op == "aten::_convolution";
  if (!plain && !transposed && !any) return std::nullopt;
  const auto input = tensor_argument(node, 0);
  const auto weight = tensor_argument(node, 1);
  if (!input || !weight) return std::nullopt;
  const Shape& weight_shape = graph.values[static_cast<std::size_t>(*weight)].shape;
  if (any) {
    std::vector<Argument> arguments(a.begin(), a.begin() + 9);
    for (const std::size_t i : {3U, 4U, 5U, 7U})  // stride, padding, dilation, output padding
      if (const auto numbers = spatial(a[i], weight_shape.size() - 2)) arguments[i] = *numbers;
    return arguments;
  }
  if (graph.values[static_cast<std::size_t>(*input)].shape.size() != weight_shape.size()) return std::nullopt;
  const std::size_t dims = weight_shape.size() - 2;
  const auto stride = spatial(a[3], dims);
  const auto dilation = spatial(a[transposed ? 7 : 5], dims);
  if (!stride || !dilation) return std::nullopt;
  const auto* name = std::get_if<std::string>(&a[4]);
  const auto padding = name != nullptr ? named_padding(*name, weight_shape, *dilation) : spatial(a[4], dims);
  const auto output_padding = transposed ? spatial(a[5], dims) : std::vector<SymInt>(dims);
  if (!padding || !output_padding) return std::nullopt;
  return std::vector<Argument>{a[0], a[1], a[2], *stride, *padding, *dilation, transposed, *output_padding, a[6]};
}

void canonicalize_convolutions(Graph& graph) {
  for (auto& node : graph.nodes)
    if (auto arguments = convolution_arguments(graph, node)) {
      node.op = "aten::convolution";
      node.overload.clear();
      node.arguments = std::move(*arguments);
    }
}

// --- matrix products ------------------------------------------------------------------------------------------------

/// Makes `aten::linear` of products with a weight matrix.
class LinearMaker {
 public:
  explicit LinearMaker(Model& model) : model_(model), uses_(model.graph) {}

  void run() {
    for (auto& node : model_.graph.nodes) {
      if (!node.written.empty()) continue;
      if (node.op == "aten::addmm") rewrite_addmm(node);
      if (node.op == "aten::mm" || node.op == "aten::matmul") rewrite_product(node);
      if (node.op == "aten::add" && node.overload == "Tensor") rewrite_bias(node);
    }
  }

 private:
  static bool is_one(const Argument& argument) {
    if (const auto* number = std::get_if<SymInt>(&argument)) return *number == SymInt{1};
    if (const auto* number = std::get_if<double>(&argument)) return *number == 1.0;
    return false;
  }

  /// The parameter [out, in] behind the right operand [in, out] of a product: what a transposition reads, or a
  /// transposed copy.
  std::optional<ValueId> weight_of(ValueId right) {
    const Value& value = value_at(model_.graph, right);
    if (value.shape.size() != 2) return std::nullopt;
    if (const Node* node = uses_.producer_of(model_.graph, right)) {
      const bool swaps = node->op == "aten::t" || node->op == "aten::numpy_T" ||
                         (node->op == "aten::transpose" && node->overload == "int");
      const auto source = tensor_argument(*node, 0);
      if (!swaps || !source || !value_at(model_.graph, *source).is_data()) return std::nullopt;
      return source;
    }
    if (value.kind != ValueKind::Parameter) return std::nullopt;
    const at::Tensor& tensor = model_.tensors[static_cast<std::size_t>(right)];
    return add_parameter(model_, value.name, tensor.detach().t().contiguous(), value.dtype);
  }

  static void become_linear(Node& node, ValueId input, ValueId weight, Argument bias) {
    node.op = "aten::linear";
    node.overload.clear();
    node.arguments = {ValueRef{input}, ValueRef{weight}, std::move(bias)};
  }

  void rewrite_addmm(Node& node) {
    const auto bias = tensor_argument(node, 0);
    const auto input = tensor_argument(node, 1);
    const auto right = tensor_argument(node, 2);
    if (!bias || !input || !right || !is_one(node.arguments[3]) || !is_one(node.arguments[4])) return;
    if (value_at(model_.graph, *bias).shape.size() != 1) return;
    if (const auto weight = weight_of(*right)) become_linear(node, *input, *weight, ValueRef{*bias});
  }

  void rewrite_product(Node& node) {
    const auto input = tensor_argument(node, 0);
    const auto right = tensor_argument(node, 1);
    if (!input || !right || value_at(model_.graph, *input).shape.size() < 2) return;
    if (value_at(model_.graph, *input).is_data()) return;
    if (const auto weight = weight_of(*right)) become_linear(node, *input, *weight, None{});
  }

  /// Whether moving a read of the first node to the second could see memory that was written meanwhile.
  static bool writes_between(const Node& first, const Node& second) {
    return std::any_of(&first, &second, [](const Node& node) { return !node.written.empty(); });
  }

  /// linear without bias, then + parameter [out] (either way round): one linear with bias.
  void rewrite_bias(Node& node) {
    for (const std::size_t side : {0U, 1U}) {
      const auto product = tensor_argument(node, side);
      const auto bias = tensor_argument(node, 1 - side);
      if (!product || !bias || !is_one(node.arguments[2])) continue;
      const Node* linear = uses_.producer_of(model_.graph, *product);
      if (linear == nullptr || linear->op != "aten::linear" || writes_between(*linear, node) ||
          !std::holds_alternative<None>(linear->arguments[2]) || uses_.readers[static_cast<std::size_t>(*product)] != 1)
        continue;
      const Value& value = value_at(model_.graph, *bias);
      if (!value.is_data() || value.shape.size() != 1 ||
          value.shape[0] != value_at(model_.graph, *product).shape.back())
        continue;
      return become_linear(node, *tensor_argument(*linear, 0), *tensor_argument(*linear, 1), ValueRef{*bias});
    }
  }

  Model& model_;
  const Uses uses_;
};

// --- batch norm -----------------------------------------------------------------------------------------------------

/// What folding needs from a batch norm and the site before it.
struct Fold {
  ValueId weight;
  std::optional<ValueId> bias;
  int channel_axis;
};

std::optional<Fold> foldable(const Model& model, const Uses& uses, const Node& norm) {
  const auto input = tensor_argument(norm, 0);
  if (!input || !tensor_argument(norm, 3) || !tensor_argument(norm, 4)) return std::nullopt;
  for (std::size_t i = 1; i <= 4; ++i)
    if (const auto id = tensor_argument(norm, i); id && !model.graph.values[static_cast<std::size_t>(*id)].is_data())
      return std::nullopt;
  const Node* site = uses.producer_of(model.graph, *input);
  if (site == nullptr || uses.readers[static_cast<std::size_t>(*input)] != 1) return std::nullopt;
  const auto bias = tensor_argument(*site, 2);
  if (bias && !model.graph.values[static_cast<std::size_t>(*bias)].is_data()) return std::nullopt;
  const auto weight = tensor_argument(*site, 1);
  if (!weight || !model.graph.values[static_cast<std::size_t>(*weight)].is_data()) return std::nullopt;
  if (site->op == "aten::convolution") {
    const bool transposed = std::get<bool>(site->arguments[6]);
    if (transposed && std::get<SymInt>(site->arguments[8]).offset != 1) return std::nullopt;
    return Fold{*weight, bias, transposed ? 1 : 0};
  }
  const bool channels_last_dim = model.graph.values[static_cast<std::size_t>(*input)].shape.size() == 2;
  if (site->op != "aten::linear" || !channels_last_dim) return std::nullopt;
  return Fold{*weight, bias, 0};
}

std::string sibling_name(const std::string& weight, const std::string& last) {
  const auto dot = weight.rfind('.');
  return dot == std::string::npos ? weight + '.' + last : weight.substr(0, dot + 1) + last;
}

}  // namespace

Model eliminate_dead_code(Model model) {
  Graph& graph = model.graph;
  const std::vector<bool> live = live_values(graph);
  std::vector<Node> nodes;
  for (Node& node : graph.nodes)
    if (is_needed(node, live)) nodes.push_back(std::move(node));

  std::vector<ValueId> renumbered(graph.values.size(), -1);
  Model result;
  result.graph.length = graph.length;
  for (std::size_t id = 0; id < live.size(); ++id) {
    if (!live[id]) continue;
    renumbered[id] = static_cast<ValueId>(result.graph.values.size());
    result.graph.values.push_back(std::move(graph.values[id]));
    result.tensors.push_back(std::move(model.tensors[id]));
  }
  const auto renumber = [&](ValueId& id) { id = renumbered[static_cast<std::size_t>(id)]; };
  for (auto& node : nodes) {
    for (auto& argument : node.arguments) {
      if (auto* ref = std::get_if<ValueRef>(&argument)) renumber(ref->id);
      if (auto* ids = std::get_if<std::vector<std::optional<ValueId>>>(&argument))
        for (auto& id : *ids)
          if (id) renumber(*id);
    }
    for (auto& output : node.outputs) std::for_each(output.ids.begin(), output.ids.end(), renumber);
  }
  std::for_each(graph.inputs.begin(), graph.inputs.end(), renumber);
  std::for_each(graph.outputs.begin(), graph.outputs.end(), renumber);
  result.graph.nodes = std::move(nodes);
  result.graph.inputs = std::move(graph.inputs);
  result.graph.outputs = std::move(graph.outputs);
  return result;
}

Model canonicalize(Model model) {
  canonicalize_convolutions(model.graph);
  LinearMaker(model).run();
  return eliminate_dead_code(std::move(model));
}

Model fold_batch_norm(Model model) {
  const at::NoGradGuard no_grad;
  Uses uses(model.graph);
  for (auto& norm : model.graph.nodes) {
    if (norm.op != "aten::batch_norm") continue;
    const auto fold = foldable(model, uses, norm);
    if (!fold) continue;
    const auto tensor = [&](std::optional<ValueId> id, double missing) {
      return id ? model.tensors[static_cast<std::size_t>(*id)].to(at::kDouble)
                : at::full({}, missing, at::TensorOptions().dtype(at::kDouble));
    };
    const Value weight_value = value_at(model.graph, fold->weight);
    const at::Tensor weight = tensor(fold->weight, 0);
    const at::Tensor factor = tensor(tensor_argument(norm, 1), 1) *
                              (tensor(tensor_argument(norm, 4), 1) + std::get<double>(norm.arguments[7])).rsqrt();
    const at::Tensor bias =
        (tensor(fold->bias, 0) - tensor(tensor_argument(norm, 3), 0)) * factor + tensor(tensor_argument(norm, 2), 0);
    std::vector<std::int64_t> along(static_cast<std::size_t>(weight.dim()), 1);
    along[static_cast<std::size_t>(fold->channel_axis)] = -1;
    const auto dtype = model.tensors[static_cast<std::size_t>(fold->weight)].scalar_type();
    const ValueId new_weight =
        add_parameter(model, weight_value.name, (weight * factor.view(along)).to(dtype), weight_value.dtype);
    const ValueId new_bias =
        add_parameter(model, sibling_name(weight_value.name, "bias"), bias.to(dtype), weight_value.dtype);
    // Readers of the norm read the site instead; the norm dies.
    const auto input = *tensor_argument(norm, 0);
    Node& site = model.graph.nodes[static_cast<std::size_t>(uses.producer[static_cast<std::size_t>(input)])];
    site.arguments[1] = ValueRef{new_weight};
    site.arguments[2] = ValueRef{new_bias};
    const ValueId output = norm.outputs[0].ids[0];
    replace_value(model.graph, output, input);
    uses.readers[static_cast<std::size_t>(input)] = uses.readers[static_cast<std::size_t>(output)];
  }
  return eliminate_dead_code(std::move(model));
}

Model with_length(Model model, std::int64_t length) {
  Graph& graph = model.graph;
  if (length < 0 || (length > 0 && graph.length == 0))
    throw Error(Errc::InvalidArgument,
                message("a length of ", length, " was asked for, ",
                        length < 0 ? "which no input has: give 1 or more"
                                   : "and no size of this network depends on one: leave it out, or capture the network "
                                     "with length_dimension"));
  if (graph.length == 0) return model;
  if (length == 0) length = graph.length;
  const auto fix = [length](SymInt& number) { number = number.with_length(length); };
  for (Value& value : graph.values) std::for_each(value.shape.begin(), value.shape.end(), fix);
  for (Node& node : graph.nodes)
    for (Argument& argument : node.arguments) {
      if (auto* number = std::get_if<SymInt>(&argument)) fix(*number);
      if (auto* numbers = std::get_if<std::vector<SymInt>>(&argument))
        std::for_each(numbers->begin(), numbers->end(), fix);
    }
  graph.length = 0;
  return model;
}

Model with_sites(Model model, const SiteOptions& options) {
  if (options.products) model = internal::split_attention(std::move(model));
  model.sites = find_sites(model.graph, options);
  return model;
}

Model prepare(Model model, const SiteOptions& options) {
  model = fold_batch_norm(canonicalize(internal::fold_constants(std::move(model))));
  return with_sites(std::move(model), options);
}

}  // namespace halftone
