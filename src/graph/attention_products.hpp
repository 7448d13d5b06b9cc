#pragma once

#include "halftone/graph/model.hpp"

namespace halftone::internal {

/// Writes `aten::scaled_dot_product_attention` as the two products and the softmax that it consists of, so that the
/// products' operands can be sites: softmax(q k^T scale + mask) v, rows that are masked from end to end giving 0, as
/// LibTorch has it. Causal masks, grouped queries and dropout stay fused. Outputs agree to rounding.
Model split_attention(Model model);

}  // namespace halftone::internal
