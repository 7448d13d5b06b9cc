#include "graph/attention_products.hpp"

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace halftone::internal {
namespace {

/// The arguments of `aten::scaled_dot_product_attention`.
struct Attention {
  ValueId query = 0;
  ValueId key = 0;
  ValueId value = 0;
  std::optional<ValueId> mask;
  double scale = 1;
  ValueId output = 0;
};

const Value& value_at(const Graph& graph, ValueId id) { return graph.values[static_cast<std::size_t>(id)]; }

ValueId tensor(const Node& node, std::size_t argument) { return std::get<ValueRef>(node.arguments[argument]).id; }

/// Nothing where a form is asked for that stays fused.
std::optional<Attention> read(const Graph& graph, const Node& node) {
  constexpr std::size_t kMask = 3;
  constexpr std::size_t kDropout = 4;
  constexpr std::size_t kCausal = 5;
  constexpr std::size_t kScale = 6;
  constexpr std::size_t kGrouped = 7;
  if (node.op != "aten::scaled_dot_product_attention") return std::nullopt;
  if (!is_zero(node.arguments[kDropout]) || node.arguments[kCausal] != Argument(false) ||
      node.arguments[kGrouped] != Argument(false))
    return std::nullopt;
  Attention attention{tensor(node, 0), tensor(node, 1), tensor(node, 2), std::nullopt, 1, node.outputs[0].ids[0]};
  if (const auto* mask = std::get_if<ValueRef>(&node.arguments[kMask])) attention.mask = mask->id;
  if (const auto* scale = std::get_if<double>(&node.arguments[kScale])) {
    attention.scale = *scale;
  } else {
    const SymInt width = value_at(graph, attention.query).shape.back();
    if (!width.is_fixed()) return std::nullopt;
    attention.scale = 1 / std::sqrt(static_cast<double>(width.offset));
  }
  return attention;
}

/// Appends nodes and values to a graph that is made anew.
class Splitter {
 public:
  explicit Splitter(Model& model) : model_(model) {}

  void split(const Attention& attention) {
    const Value like = value_at(model_.graph, attention.query);
    Shape swapped = value_at(model_.graph, attention.key).shape;
    std::swap(swapped.end()[-1], swapped.end()[-2]);
    Shape square = value_at(model_.graph, attention.output).shape;
    square.back() = swapped.back();
    const auto node = [&](const char* op, const char* overload, std::vector<Argument> arguments, const Shape& shape) {
      return emit({op, overload, std::move(arguments), {}}, make(shape, like.dtype));
    };
    const ValueId keys = node("aten::transpose", "int", {ValueRef{attention.key}, SymInt{-2}, SymInt{-1}}, swapped);
    ValueId scores = node("aten::matmul", "", {ValueRef{attention.query}, ValueRef{keys}}, square);
    scores = node("aten::mul", "Scalar", {ValueRef{scores}, attention.scale}, square);
    if (attention.mask) scores = add_mask(scores, *attention.mask, square, like.dtype);
    const ValueId shares = node("aten::_safe_softmax", "", {ValueRef{scores}, SymInt{-1}, None{}}, square);
    emit({"aten::matmul", "", {ValueRef{shares}, ValueRef{attention.value}}, {}}, attention.output);
  }

  void keep(Node node) { nodes_.push_back(std::move(node)); }
  std::vector<Node> take_nodes() { return std::move(nodes_); }

 private:
  ValueId make(const Shape& shape, DType dtype) {
    model_.graph.values.push_back({ValueKind::Computed, "", shape, dtype});
    model_.tensors.emplace_back();
    return static_cast<ValueId>(model_.graph.values.size() - 1);
  }

  ValueId emit(Node node, ValueId output) {
    node.outputs = {{false, {output}}};
    nodes_.push_back(std::move(node));
    return output;
  }

  /// A mask of booleans says which elements take part, one of floats is added.
  ValueId add_mask(ValueId scores, ValueId mask, const Shape& shape, DType dtype) {
    const Value form = value_at(model_.graph, mask);
    if (form.dtype != DType::Bool)
      return emit({"aten::add", "Tensor", {ValueRef{scores}, ValueRef{mask}, SymInt{1}}, {}}, make(shape, dtype));
    const ValueId hidden = emit({"aten::logical_not", "", {ValueRef{mask}}, {}}, make(form.shape, DType::Bool));
    return emit({"aten::masked_fill",
                 "Scalar",
                 {ValueRef{scores}, ValueRef{hidden}, -std::numeric_limits<double>::infinity()},
                 {}},
                make(shape, dtype));
  }

  Model& model_;
  std::vector<Node> nodes_;
};

}  // namespace

Model split_attention(Model model) {
  Splitter splitter(model);
  std::vector<Node> nodes = std::move(model.graph.nodes);
  for (Node& node : nodes) {
    if (const auto attention = read(model.graph, node))
      splitter.split(*attention);
    else
      splitter.keep(std::move(node));
  }
  model.graph.nodes = splitter.take_nodes();
  return model;
}

}  // namespace halftone::internal
