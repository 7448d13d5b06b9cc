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

/// The model for inputs of one length alone; as it is where no size depends on the length. Throws `InvalidArgument`
/// where `length` is negative, or is neither 0 nor what the model was captured at and no size depends on it. 0: the
/// length that it was captured at.
Model with_length(Model model, std::int64_t length);

/// A prepared model with the sites of `find_sites`. Where products are asked for, fused attention becomes the products
/// that it consists of (causal masks and grouped queries stay fused); outputs then agree to rounding.
Model with_sites(Model model, const SiteOptions& options);

/// Computes what depends on nothing but the model's own tensors, does all of the above but `with_length`, then
/// `find_sites`: what every later stage takes.
Model prepare(Model model, const SiteOptions& options = {});

}  // namespace halftone
