#include "sensitivity/finite_outputs.hpp"

#include <ATen/ATen.h>

#include "evaluate/non_finite.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {

namespace {

/// [n], true where a sample is finite; all false where the output has no dimension of samples.
at::Tensor finite_samples(const at::Tensor& output, std::int64_t samples) {
  const at::Tensor finite = output.isfinite();
  if (finite.dim() > 0 && finite.size(0) == samples) return finite.reshape({samples, -1}).all(1);
  return finite.all().expand({samples});
}

}  // namespace

FiniteOutputs finite_outputs(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean) {
  if (!find_non_finite(outputs)) return {outputs, {}};
  const std::int64_t samples = outputs.at(0).size(0);
  at::Tensor finite = at::ones({samples}, outputs[0].options().dtype(at::kBool));
  for (const at::Tensor& output : outputs)
    if (output.numel() > 0) finite = finite.logical_and(finite_samples(output, samples));
  FiniteOutputs result{{}, finite.logical_not().cpu()};
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].dim() == 0 || outputs[i].size(0) != samples) {
      result.outputs.push_back(find_non_finite({outputs[i]}) ? clean[i] : outputs[i]);
      continue;
    }
    std::vector<std::int64_t> shape(static_cast<std::size_t>(outputs[i].dim()), 1);
    shape[0] = samples;
    result.outputs.push_back(at::where(finite.reshape(shape), outputs[i], clean[i]));
  }
  return result;
}

void require_finite_clean(const std::string& metric, const Dataset& data, const BatchRange& batch,
                          const std::vector<at::Tensor>& outputs) {
  if (const auto found = find_non_finite(outputs))
    throw Error(Errc::NonFinite,
                message("metric ", metric, ": output ", found->output,
                        " of the network as trained is NaN or infinite for sample ", batch.begin + found->sample,
                        " of ", data.name(), ": look at the weights and at this sample, or leave it out"));
}

}  // namespace halftone::internal
