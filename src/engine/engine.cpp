#include "halftone/engine/engine.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "core/scalar_type.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/graph/passes.hpp"

namespace halftone {
namespace {

bool starts_with_batch(const Shape& shape) { return !shape.empty() && shape[0] == SymInt{0, 1}; }

/// The dimension of `output` that is the batch; nothing where there is none, or more to it than one value a sample.
std::optional<std::int64_t> batch_axis(const Shape& shape) {
  std::optional<std::int64_t> axis;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i].batch == 0) continue;
    if (axis || shape[i] != SymInt{0, 1}) return std::nullopt;
    axis = static_cast<std::int64_t>(i);
  }
  return axis;
}

/// The first `samples` of output `index`, as `value` describes it.
at::Tensor first_samples(const at::Tensor& output, const Value& value, std::size_t index, std::int64_t samples) {
  if (const auto axis = batch_axis(value.shape))
    return output.slice(*axis, 0, samples).clone(at::MemoryFormat::Contiguous);
  if (value.kind != ValueKind::Computed) return output;
  throw Error(Errc::InvalidArgument,
              message("got ", samples, " samples, fewer than the network is compiled for, and output ", index,
                      " does not hold one value of each along one dimension: fill the batch"));
}

}  // namespace

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
  for (const ValueId id : model.graph.outputs) outputs_.push_back(model.graph.values[static_cast<std::size_t>(id)]);
}

std::vector<at::Tensor> CompiledNetwork::run(std::span<const at::Tensor> inputs) {
  if (inputs.size() != inputs_.size())
    throw Error(Errc::InvalidArgument, message("the network takes ", inputs_.size(), " inputs, got ", inputs.size()));
  std::int64_t samples = batch_;
  for (std::size_t i = inputs.size(); i-- > 0;)
    if (starts_with_batch(inputs_[i].shape) && inputs[i].dim() > 0) samples = inputs[i].size(0);
  if (samples < 1 || samples > batch_)
    throw Error(Errc::InvalidArgument,
                message("got ", samples, " samples, the network is compiled for 1 to ", batch_, " at a time"));
  std::vector<at::Tensor> full;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Input& input = inputs_[i];
    const auto wanted = sizes_at(input.shape, {samples});
    if (!inputs[i].is_cpu() || inputs[i].sizes() != at::IntArrayRef(wanted) ||
        inputs[i].scalar_type() != internal::to_scalar_type(input.dtype))
      throw Error(Errc::InvalidArgument,
                  message("input \"", input.name, "\" is ", at::toString(inputs[i].scalar_type()), ' ',
                          inputs[i].sizes(), " on ", inputs[i].device(), ", the network takes ", info(input.dtype).name,
                          ' ', at::IntArrayRef(wanted), " on cpu for ", samples, " samples"));
    at::Tensor tensor = inputs[i];
    if (samples < batch_ && starts_with_batch(input.shape))
      tensor = at::cat({tensor, tensor.slice(0, samples - 1).repeat_interleave(batch_ - samples, 0)});
    full.push_back(tensor.contiguous());
  }
  std::vector<at::Tensor> outputs = do_run(full);
  if (samples < batch_)
    for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i] = first_samples(outputs[i], outputs_[i], i, samples);
  return outputs;
}

std::unique_ptr<CompiledNetwork> Engine::compile(const Model& model, const Plan& plan, const Calibration& calibration,
                                                 const CompileOptions& options) const {
  require_valid("compile options", validate(options));
  require_ranges(model, calibration, plan);
  require_batch(model.graph, options.batch);
  require(options.float_type);
  if (std::any_of(plan.precisions.begin(), plan.precisions.end(), in_integers)) require_integers();
  if (model.graph.length == 0 && options.length == 0) return do_compile(model, plan, calibration, options);
  return do_compile(with_length(model, options.length), plan, calibration, options);
}

FloatType preferred_float(const Engine& engine) {
  try {
    engine.require(FloatType::BFloat16);
    return FloatType::BFloat16;
  } catch (const Error& error) {
    if (error.code() != Errc::Unsupported) throw;
    return FloatType::Float32;
  }
}

}  // namespace halftone
