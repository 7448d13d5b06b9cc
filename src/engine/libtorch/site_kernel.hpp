#pragma once

#include "halftone/core/precision.hpp"
#include "halftone/graph/graph.hpp"
#include "halftone/graph/site.hpp"

namespace halftone::internal {

/// What computes a site.
enum class SiteKernel {
  Integer,   ///< uint8 activations times int8 weights
  Packed,    ///< floats, with weights laid out once for oneDNN
  Operator,  ///< floats, by the operator itself
  Emulated,  ///< the operator in float32, on operands quantized and back: right numbers without the speed
};

/// The kernel for `site` at `precision`.
SiteKernel kernel_for(const Graph& graph, const Site& site, Precision precision);

/// Whether the kernels of `site` can clip to any limits and add residuals: those of 1-d and 3-d convolutions cannot.
bool clips(const Site& site);

/// Whether its kernel can apply relu: LibTorch's integer kernel for 3-d convolutions takes nothing.
bool takes_relu(const Site& site, SiteKernel kernel);

}  // namespace halftone::internal
