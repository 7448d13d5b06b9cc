#include <ATen/ATen.h>

#include "engine/libtorch/site_arguments.hpp"

namespace halftone::internal {
namespace {

OperatorCall packed_convolution(const Target& target, const Step& step) {
  const Site& site = target.model.sites[step.fused.site];
  const Window window(target, site);
  const auto packed =
      call_boxed("mkldnn::_reorder_convolution_weight", {target.tensor(site.weight), window.padding, window.stride,
                                                         window.dilation, site.groups, target.sizes(site.input_shape)})
          .at(0);
  const UnaryPostOp post = unary(step.fused.post, std::nullopt);
  const c10::IValue bias = bias_of(target, site, target.type);
  if (!step.fused.post.residual) {
    OperatorCall call("mkldnn::_convolution_pointwise", "",
                      {at::Tensor(), packed, bias, window.padding, window.stride, window.dilation, site.groups,
                       post.name, post.scalars, post.algorithm});
    call.read(0, step.input);
    return call;
  }
  const c10::IValue activation = post.name == "none" ? c10::IValue() : c10::IValue(post.name);
  OperatorCall call("mkldnn::_convolution_pointwise_", "binary",
                    {at::Tensor(), at::Tensor(), packed, bias, window.padding, window.stride, window.dilation,
                     site.groups, "add", 1.0, activation, post.scalars, post.algorithm});
  call.read(0, *step.fused.post.residual);
  call.read(1, step.input);
  return call;
}

OperatorCall packed_linear(const Target& target, const Step& step) {
  const Site& site = target.model.sites[step.fused.site];
  std::int64_t rows = 1;
  for (const std::int64_t size : target.sizes(site.input_shape)) rows *= size;
  rows /= site.weight_shape[1];
  const auto packed = call_boxed("mkldnn::_reorder_linear_weight", {target.tensor(site.weight), rows}).at(0);
  const c10::IValue bias = bias_of(target, site, target.type);
  if (step.fused.post.residual) {
    OperatorCall call("mkldnn::_linear_pointwise", "binary", {at::Tensor(), at::Tensor(), packed, bias, "add"});
    call.read(0, step.input);
    call.read(1, *step.fused.post.residual);
    return call;
  }
  const UnaryPostOp post = unary(step.fused.post, std::nullopt);
  OperatorCall call("mkldnn::_linear_pointwise", "",
                    {at::Tensor(), packed, bias, post.name, post.scalars, post.algorithm});
  call.read(0, step.input);
  return call;
}

}  // namespace

Run packed_site(const Target& target, const Step& step) {
  const bool convolution = target.model.sites[step.fused.site].kind == SiteKind::Convolution;
  const auto& residual = step.fused.post.residual;
  OperatorCall call = convolution ? packed_convolution(target, step) : packed_linear(target, step);
  call.write({{false, {step.output}}});
  if (residual && convolution) return adding_to(std::move(call), *residual);
  return call;
}

}  // namespace halftone::internal
