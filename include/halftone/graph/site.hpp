#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/graph/graph.hpp"

namespace halftone {

enum class SiteKind { Convolution, Linear };

constexpr const char* to_string(SiteKind kind) { return kind == SiteKind::Convolution ? "conv" : "linear"; }

/// A convolution or matrix product whose operands may be quantized.
struct Site {
  std::string name;  ///< its weight's name without ".weight", e.g. "layer1.0.conv1"
  SiteKind kind = SiteKind::Linear;
  std::size_t node = 0;  ///< index into Graph::nodes
  ValueId input = 0;     ///< the activation it reads; sites with equal `input` share one range
  ValueId weight = 0;    ///< parameter [out, in / groups, kernel…] or [out, in]
  Shape input_shape;
  Shape output_shape;
  std::vector<std::int64_t> weight_shape;
  int weight_channel_axis = 0;  ///< the weight's output-channel dimension (1 for transposed convolutions)
  std::int64_t groups = 1;
  std::int64_t macs = 0;  ///< multiply-accumulates for one sample
  std::int64_t weight_elements = 0;
  std::int64_t input_elements = 0;   ///< for one sample
  std::int64_t output_elements = 0;  ///< for one sample
};

/// Finds the sites of a prepared graph (see `prepare`): every `aten::convolution` and `aten::linear` whose
/// weight is a parameter, in execution order. Two sites that share one weight get the suffix "#2" and so on.
std::vector<Site> find_sites(const Graph& graph);

}  // namespace halftone
