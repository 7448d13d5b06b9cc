#include <ATen/ATen.h>

#include "engine/libtorch/target.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone::internal {

Run emulated_site(const Target& target, const Step& step, ValueId scratch) {
  const std::size_t index = step.fused.site;
  const Site& site = target.model.sites[index];
  const SiteRanges& ranges = target.calibration.sites[index];
  const auto [weight_bits, activation_bits] = target.plan[index];
  const Target in_float{target.model, target.plan, target.calibration, target.batch, at::kFloat};
  OperatorCall call = call_of(in_float, target.model.graph.nodes[site.node], {{site.input, scratch}});
  const at::Tensor weight = target.tensor(site.weight).to(at::kFloat);
  call.set(1, weight_bits == 16 ? weight : quantize_weight(site, ranges, weight_bits, in_float.tensor(site.weight)));
  call.compute_in(at::kFloat);
  call.give(target.type);
  return [call = std::move(call), site, ranges, bits = activation_bits, scratch](Frame& frame) {
    at::Tensor& input = frame[static_cast<std::size_t>(scratch)];
    input = frame[static_cast<std::size_t>(site.input)].to(at::kFloat);
    if (bits != 16) input = quantize_input(site, ranges, bits, input);
    call(frame);
    frame[static_cast<std::size_t>(scratch)].reset();
  };
}

}  // namespace halftone::internal
