#pragma once

#include <torch/nn/modules/conv.h>

namespace halftone::internal {

/// A convolution without padding of its own that pads as TensorFlow's SAME does: to ceil(size / stride) outputs, and
/// where that takes an odd number of zeros, the odd one at the end. Symmetric padding is left to the convolution.
class SameConv2dImpl : public torch::nn::Conv2dImpl {
 public:
  using torch::nn::Conv2dImpl::Conv2dImpl;
  at::Tensor forward(const at::Tensor& x);
};
TORCH_MODULE(SameConv2d);

}  // namespace halftone::internal
