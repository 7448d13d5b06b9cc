#include "engine/libtorch/site_kernel.hpp"

namespace halftone::internal {
namespace {

bool is_known(const Graph& graph, const Argument& argument) {
  const auto* ref = std::get_if<ValueRef>(&argument);
  return ref != nullptr ? graph.values[static_cast<std::size_t>(ref->id)].is_data()
                        : std::holds_alternative<None>(argument);
}

}  // namespace

SiteKernel kernel_for(const Graph& graph, const Site& site, Precision precision) {
  const Node& node = graph.nodes[site.node];
  const std::size_t rank = site.weight_shape.size();
  const bool known_bias = is_known(graph, node.arguments[2]);
  bool integer = known_bias && site.input_shape.size() >= 2;
  bool packed = integer;
  if (site.kind == SiteKind::Convolution) {
    integer = known_bias && rank >= 3 && site.input_shape.size() == rank && !std::get<bool>(node.arguments[6]);
    packed = integer && rank >= 4;
  }
  if (precision.weight_bits == 16 && precision.activation_bits == 16)
    return packed ? SiteKernel::Packed : SiteKernel::Operator;
  return integer && precision.weight_bits <= 8 && precision.activation_bits <= 8 ? SiteKernel::Integer
                                                                                 : SiteKernel::Emulated;
}

bool clips(const Site& site) { return site.kind == SiteKind::Linear || site.weight_shape.size() == 4; }

bool takes_relu(const Site& site, SiteKernel kernel) {
  return kernel == SiteKernel::Packed || site.weight_shape.size() != 5;
}

}  // namespace halftone::internal
