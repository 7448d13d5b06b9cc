#include <ATen/ATen.h>

#include "engine/libtorch/site_arguments.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone::internal {
namespace {

/// Where an integer kernel's result goes.
struct Written {
  double scale = 1;
  std::int64_t zero_point = 0;
  std::int64_t type;

  Written(const Target& target, const std::optional<QuantParams>& params)
      : type(static_cast<std::int64_t>(params ? at::kByte : target.type)) {
    if (!params) return;
    scale = params->scale;
    zero_point = params->zero_point;
  }
};

void append(torch::jit::Stack& stack, torch::jit::Stack values) {
  stack.insert(stack.end(), std::make_move_iterator(values.begin()), std::make_move_iterator(values.end()));
}

c10::IValue pack(const Target& target, const Site& site, const QuantParams& input, const IntegerWeight& weight) {
  const auto sizes = target.sizes(site.input_shape);
  if (site.kind == SiteKind::Linear) return call_boxed("onednn::qlinear_prepack", {weight.integers, sizes}).at(0);
  const Window window(target, site);
  return call_boxed("onednn::qconv_prepack",
                    {weight.integers, weight.scales, static_cast<double>(input.scale), std::int64_t{input.zero_point},
                     window.stride, window.padding, window.dilation, site.groups, sizes})
      .at(0);
}

}  // namespace

Run integer_site(const Target& target, const Step& step) {
  const std::size_t index = step.fused.site;
  const Site& site = target.model.sites[index];
  const SiteRanges& ranges = target.calibration.sites[index];
  const auto [weight_bits, activation_bits] = target.plan[index];
  const QuantParams input = params(ranges.input.at(activation_bits), activation_bits);
  const at::Tensor& weight = target.model.tensors[static_cast<std::size_t>(site.weight)];
  const IntegerWeight integers = integer_weight(site, ranges, weight_bits, weight.detach().to(at::kFloat));
  const bool convolution = site.kind == SiteKind::Convolution;
  const bool residual = step.fused.post.residual.has_value();
  torch::jit::Stack stack{at::Tensor(),
                          static_cast<double>(input.scale),
                          std::int64_t{input.zero_point},
                          pack(target, site, input, integers),
                          integers.scales,
                          at::zeros({integers.scales.size(0)}, at::kInt)};
  if (residual) stack.emplace_back(at::Tensor());
  stack.push_back(bias_of(target, site, at::kFloat));
  if (convolution) {
    const Window window(target, site);
    append(stack, {window.stride, window.padding, window.dilation, site.groups});
  }
  const Written written(target, step.params);
  append(stack, {written.scale, written.zero_point, written.type});
  if (residual) append(stack, {1.0, std::int64_t{0}, convolution ? "sum" : "add", 1.0});
  const UnaryPostOp post = unary(step.fused.post, step.params);
  append(stack, {post.name, post.scalars, post.algorithm});

  const char* op = !convolution ? "onednn::qlinear_pointwise"
                   : residual   ? "onednn::qconv2d_pointwise"
                                : "onednn::qconv_pointwise";
  OperatorCall call(op, residual ? "binary" : "", std::move(stack));
  call.read(0, step.input);
  if (residual) call.read(6, *step.fused.post.residual);
  call.write({{false, {step.output}}});
  if (residual && convolution) return adding_to(std::move(call), *step.fused.post.residual);
  return call;
}

}  // namespace halftone::internal
