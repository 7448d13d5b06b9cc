#pragma once

#include <string>

#include "engine/libtorch/target.hpp"

namespace halftone::internal {

using Scalars = c10::List<std::optional<at::Scalar>>;

/// An activation as LibTorch's kernels take it.
struct UnaryPostOp {
  std::string name = "none";
  Scalars scalars = Scalars();
  std::string algorithm{};
};

/// Clips to what both the network and the integers that are written say; what saturation to 0 … 255 does anyway needs
/// no operation.
UnaryPostOp unary(const PostOps& post, const std::optional<QuantParams>& written);

/// The geometry of a convolution: one number for each spatial dimension.
struct Window {
  c10::List<std::int64_t> stride;
  c10::List<std::int64_t> padding;
  c10::List<std::int64_t> dilation;

  Window(const Target& target, const Site& site);
};

/// The site's bias in `type`, or nothing.
c10::IValue bias_of(const Target& target, const Site& site, at::ScalarType type);

/// `call` of a convolution that adds to `residual` where it lies: oneDNN's kernels take that in their own layout alone.
Run adding_to(OperatorCall call, ValueId residual);

/// Calls an operator by name.
torch::jit::Stack call_boxed(const char* op, torch::jit::Stack stack);

}  // namespace halftone::internal
