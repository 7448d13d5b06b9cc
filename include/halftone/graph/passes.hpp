#pragma once

#include "halftone/graph/model.hpp"

namespace halftone {

/// Drops nodes and tensors that no output depends on, and renumbers values.
Model eliminate_dead_code(Model model);

/// Gives every convolution one form (`aten::convolution`) and every product with a weight matrix one form
/// (`aten::linear`), whichever way the module wrote it: `conv2d`, `_convolution`; `t` + `addmm`, `t` + `matmul` +
/// `add`. Outputs agree to rounding.
Model canonicalize(Model model);

/// Folds every batch norm (in evaluation mode) that alone reads a convolution or linear into its weight and bias:
/// w' = w g / sqrt(v + eps), b' = (b - m) g / sqrt(v + eps) + beta. Computed in float64. Outputs agree to rounding.
/// Needs `canonicalize` first.
Model fold_batch_norm(Model model);

/// All of the above, then `find_sites`: what every later stage takes.
Model prepare(Model model, const SiteOptions& options = {});

}  // namespace halftone
