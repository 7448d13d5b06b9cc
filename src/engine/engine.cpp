#include "halftone/engine/engine.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/scalar_type.hpp"
#include "engine/cpu_features.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone {

std::vector<std::string> validate(const CompileOptions& options) {
  std::vector<std::string> violations;
  const auto at_least_one = [&](const char* field, std::int64_t value) {
    if (value < 1) violations.push_back(message(field, " is ", value, ": at least 1 is needed"));
  };
  at_least_one("batch", options.batch);
  at_least_one("threads", options.threads);
  at_least_one("parallel", options.parallel);
  return violations;
}

CompiledNetwork::CompiledNetwork(const Model& model, std::int64_t batch) : batch_(batch) {
  for (const ValueId id : model.graph.inputs) {
    const Value& value = model.graph.values[static_cast<std::size_t>(id)];
    inputs_.push_back({value.name, value.shape, value.dtype});
  }
  for (const ValueId id : model.graph.outputs) {
    const Shape& shape = model.graph.values[static_cast<std::size_t>(id)].shape;
    output_is_batched_.push_back(!shape.empty() && shape[0] == BatchInt{0, 1});
  }
}

std::vector<at::Tensor> CompiledNetwork::run(std::span<const at::Tensor> inputs) {
  if (inputs.size() != inputs_.size())
    throw Error(Errc::InvalidArgument, message("the network takes ", inputs_.size(), " inputs, got ", inputs.size()));
  const std::int64_t samples = inputs.empty() || inputs[0].dim() == 0 ? batch_ : inputs[0].size(0);
  if (samples < 1 || samples > batch_)
    throw Error(Errc::InvalidArgument,
                message("got ", samples, " samples, the network is compiled for 1 to ", batch_, " at a time"));
  std::vector<at::Tensor> full;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Input& input = inputs_[i];
    std::vector<std::int64_t> wanted;
    for (const auto& size : input.shape) wanted.push_back(size.at(samples));
    if (inputs[i].sizes() != at::IntArrayRef(wanted) ||
        inputs[i].scalar_type() != internal::to_scalar_type(input.dtype))
      throw Error(Errc::InvalidArgument,
                  message("input \"", input.name, "\" is ", at::toString(inputs[i].scalar_type()), ' ',
                          inputs[i].sizes(), ", the network takes ", info(input.dtype).name, ' ',
                          at::IntArrayRef(wanted), " for ", samples, " samples"));
    at::Tensor tensor = inputs[i];
    if (samples < batch_ && !input.shape.empty() && input.shape[0] == BatchInt{0, 1})
      tensor = at::cat({tensor, tensor.slice(0, samples - 1).repeat_interleave(batch_ - samples, 0)});
    full.push_back(tensor.contiguous());
  }
  std::vector<at::Tensor> outputs = do_run(full);
  if (samples < batch_)
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (output_is_batched_[i]) outputs[i] = outputs[i].slice(0, 0, samples).clone();
  return outputs;
}

std::unique_ptr<CompiledNetwork> Engine::compile(const Model& model, const Plan& plan, const Calibration& calibration,
                                                 const CompileOptions& options) const {
  require_valid("compile options", validate(options));
  require_ranges(model, calibration, plan);
  require(options.float_type);
  if (std::any_of(plan.precisions.begin(), plan.precisions.end(),
                  [](Precision p) { return p.weight_bits < 16 && p.activation_bits < 16; }))
    internal::require_int8_dot_products();
  return do_compile(model, plan, calibration, options);
}

}  // namespace halftone
