#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/graph/graph.hpp"

namespace halftone {

enum class SiteKind {
  Convolution,
  Linear,
  Addition,  ///< one operand of a residual addition; has no weight
  Product,   ///< one operand of a product of two activations, as in attention; has no weight
};

constexpr const char* to_string(SiteKind kind) {
  switch (kind) {
    case SiteKind::Convolution:
      return "conv";
    case SiteKind::Linear:
      return "linear";
    case SiteKind::Addition:
      return "add";
    case SiteKind::Product:
      return "product";
  }
  return "unknown";
}

/// Something that reads an activation, and mostly a weight, that may be quantized.
struct Site {
  /// Its weight's name without ".weight", e.g. "layer1.0.conv1"; of an operand of an addition or a
  /// product the last site before it and the operand's number, e.g. "layer1.0.conv2/add.0", "attention.v/product.1".
  std::string name;
  SiteKind kind = SiteKind::Linear;
  std::size_t node = 0;      ///< index into Graph::nodes
  std::size_t argument = 0;  ///< of the node: where it reads the activation
  ValueId input = 0;         ///< the activation it reads; sites with equal `input` share one range
  ValueId weight = 0;        ///< parameter [out, in / groups, kernel…] or [out, in]; -1 for none
  Shape input_shape;         ///< this and all that follows: at the length that the graph was captured at
  Shape output_shape;
  std::vector<std::int64_t> weight_shape;
  int weight_channel_axis = 0;  ///< the weight's output-channel dimension (1 for transposed convolutions)
  std::int64_t groups = 1;
  std::vector<std::int64_t> stride{};    ///< of a convolution, by dimension of the kernel; empty for others
  std::vector<std::int64_t> padding{};   ///< likewise
  std::vector<std::int64_t> dilation{};  ///< likewise
  std::int64_t macs = 0;                 ///< multiply-accumulates for one sample; of a product half to each operand
  std::int64_t weight_elements = 0;
  std::int64_t input_elements = 0;   ///< for one sample
  std::int64_t output_elements = 0;  ///< for one sample; 0 for second operands, and those of additions

  [[nodiscard]] bool has_weight() const { return weight >= 0; }
};

struct SiteOptions {
  /// Operands of additions too, where both are floats of one shape that sites have a part in: engines keep them as
  /// integers between 8-bit sites, for a little time and a little damage.
  bool additions = false;
  /// Operands of products of two float activations that sites have a part in, of three dimensions or more
  /// (`aten::matmul`, `aten::bmm`): queries and keys, probabilities and values. `with_sites` splits fused attention for
  /// them.
  bool products = false;

  bool operator==(const SiteOptions&) const = default;
};

/// Finds the sites of a prepared graph (see `prepare`): every `aten::convolution` and `aten::linear` whose
/// weight is a parameter, and what `options` add, in execution order. Sites of one name get the suffix "#2" and so on.
std::vector<Site> find_sites(const Graph& graph, const SiteOptions& options = {});

}  // namespace halftone
