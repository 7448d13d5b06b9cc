#include "models/same_conv.hpp"

#include <ATen/ATen.h>

#include <algorithm>

namespace halftone::internal {

at::Tensor SameConv2dImpl::forward(const at::Tensor& x) {
  const auto zeros = [&](std::size_t axis) {
    const std::int64_t size = x.size(static_cast<std::int64_t>(axis) + 2);
    const std::int64_t stride = options.stride()->at(axis);
    const std::int64_t outputs = (size + stride - 1) / stride;
    return std::max<std::int64_t>((outputs - 1) * stride + options.kernel_size()->at(axis) - size, 0);
  };
  const auto conv = [&](const at::Tensor& input, at::IntArrayRef padding) {
    return at::conv2d(input, weight, bias, *options.stride(), padding, *options.dilation(), options.groups());
  };
  const std::int64_t high = zeros(0);
  const std::int64_t wide = zeros(1);
  if (high % 2 == 0 && wide % 2 == 0) return conv(x, {high / 2, wide / 2});
  return conv(at::constant_pad_nd(x, {wide / 2, wide - wide / 2, high / 2, high - high / 2}), {0, 0});
}

}  // namespace halftone::internal
