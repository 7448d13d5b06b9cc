#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace halftone {

/// Replaces sums of squares of pieces of tensors by those of the whole tensors, in place: `sums` [quantities, tensors],
/// float64, has a column for each tensor of an optimizer, in the order of its groups.
using NormReducer = std::function<void(const at::Tensor& sums)>;

/// An optimizer whose step needs norms of whole tensors. One that holds pieces of them is told how to sum up.
class UsesNorms {
 public:
  virtual ~UsesNorms() = default;
  /// Called once a step, on every rank; empty where tensors are whole, as they are at first.
  void set_norm_reducer(NormReducer reducer) { norm_reducer_ = std::move(reducer); }

 protected:
  NormReducer norm_reducer_;
};

}  // namespace halftone
