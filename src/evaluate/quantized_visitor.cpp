#include "halftone/evaluate/quantized_visitor.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/quant/fake_quantize.hpp"

namespace halftone {

namespace {

template <class Range>
const Range& range_at(const std::map<int, Range>& ranges, int bits, const Site& site, const char* operand) {
  const auto found = ranges.find(bits);
  if (found == ranges.end())
    throw Error(Errc::InvalidArgument, message("site \"", site.name, "\" has no ", operand, " range at ", bits,
                                               " bits: calibrate with this width among the precisions"));
  return found->second;
}

/// float32 [channels].
at::Tensor weight_scales(const Site& site, const SiteRanges& ranges, int bits) {
  std::vector<float> scales;
  for (const double bound : range_at(ranges.weight, bits, site, "weight").bounds)
    scales.push_back(weight_params(bound, bits).scale);
  return at::tensor(at::ArrayRef<float>(scales), at::kFloat);
}

}  // namespace

at::Tensor quantize_input(const Site& site, const SiteRanges& ranges, int bits, const at::Tensor& activation) {
  if (bits == 16) return fake_bfloat16(activation);
  return fake_quantize(activation, params(range_at(ranges.input, bits, site, "input"), bits));
}

at::Tensor quantize_weight(const Site& site, const SiteRanges& ranges, int bits, const at::Tensor& weight) {
  if (bits == 16) return fake_bfloat16(weight);
  return fake_quantize_channels(weight, weight_scales(site, ranges, bits), weight_params(1, bits).qmax,
                                site.weight_channel_axis);
}

IntegerWeight integer_weight(const Site& site, const SiteRanges& ranges, int bits, const at::Tensor& weight) {
  const at::Tensor scales = weight_scales(site, ranges, bits);
  return {quantize_channels(weight, scales, weight_params(1, bits).qmax, site.weight_channel_axis), scales};
}

void require_ranges(const Model& model, const Calibration& calibration, const Plan& plan) {
  if (plan.size() != model.sites.size())
    throw Error(Errc::InvalidArgument, message("the plan has ", plan.size(), " precisions, the model ",
                                               model.sites.size(), " sites: they must be as many"));
  if (calibration.sites.size() != model.sites.size())
    throw Error(Errc::InvalidArgument, message("the calibration has ", calibration.sites.size(), " sites, the model ",
                                               model.sites.size(), ": calibrate this model"));
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const auto [weight_bits, activation_bits] = plan[i];
    if (activation_bits != 16) range_at(calibration.sites[i].input, activation_bits, model.sites[i], "input");
    if (weight_bits != 16 && model.sites[i].has_weight())
      range_at(calibration.sites[i].weight, weight_bits, model.sites[i], "weight");
  }
}

QuantizedWeights::QuantizedWeights(const Model& model, const Calibration& calibration)
    : model_(model), calibration_(calibration), by_site_(model.sites.size()) {}

void QuantizedWeights::prepare(const Plan& plan) {
  require_ranges(model_, calibration_, plan);
  const at::NoGradGuard no_gradient;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const Site& site = model_.sites[i];
    if (!site.has_weight()) continue;
    at::Tensor& tensor = by_site_[i][plan[i].weight_bits];
    if (tensor.defined()) continue;
    tensor = quantize_weight(site, calibration_.sites[i], plan[i].weight_bits,
                             model_.tensors[static_cast<std::size_t>(site.weight)]);
  }
}

const at::Tensor& QuantizedWeights::get(std::size_t site, int bits) const {
  const auto found = by_site_[site].find(bits);
  if (found == by_site_[site].end())
    throw Error(Errc::Internal,
                message("the weight of site \"", model_.sites[site].name, "\" was not prepared at ", bits, " bits"));
  return found->second;
}

QuantizedVisitor::QuantizedVisitor(const Model& model, const Calibration& calibration, const Plan& plan,
                                   const QuantizedWeights* weights)
    : model_(model), calibration_(calibration), plan_(plan), weights_(weights) {
  require_ranges(model, calibration, plan);
  std::map<std::pair<ValueId, int>, std::size_t> index_of;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const auto [entry, is_new] = index_of.try_emplace({model.sites[i].input, plan[i].activation_bits}, shared_.size());
    if (is_new) shared_.emplace_back();
    ++shared_[entry->second].readers;
    shared_of_site_.push_back(entry->second);
  }
}

at::Tensor QuantizedVisitor::input(std::size_t index, const at::Tensor& activation) {
  Shared& shared = shared_[shared_of_site_[index]];
  // Another source under the same index: the pass before this one was broken off.
  if (!shared.source.is_same(activation)) {
    shared.quantized =
        quantize_input(model_.sites[index], calibration_.sites[index], plan_[index].activation_bits, activation);
    shared.source = activation;
    shared.left = shared.readers;
  }
  if (--shared.left > 0) return shared.quantized;
  shared.source.reset();
  return std::exchange(shared.quantized, at::Tensor());
}

at::Tensor QuantizedVisitor::weight(std::size_t index, const at::Tensor& weight) {
  const int bits = plan_[index].weight_bits;
  if (weights_ != nullptr) return weights_->get(index, bits);
  return quantize_weight(model_.sites[index], calibration_.sites[index], bits, weight);
}

}  // namespace halftone
