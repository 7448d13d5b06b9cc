#include "engine/libtorch/program.hpp"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>

#include <chrono>

#include "core/scalar_type.hpp"
#include "halftone/engine/benchmark.hpp"

namespace halftone::internal {
namespace {

using Clock = std::chrono::steady_clock;

std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

/// What a step reads and makes in the frame.
std::vector<ValueId> values_of(const Graph& graph, const Step& step) {
  std::vector<ValueId> ids;
  const bool called_as_it_stands = step.kernel == SiteKernel::Operator || step.kernel == SiteKernel::Emulated;
  if (step.kind == Step::Kind::Operator || (step.kind == Step::Kind::Site && called_as_it_stands)) {
    const Node& node = graph.nodes[step.node];
    for (const ValueId id : read_values(node))
      if (!graph.values[index(id)].is_data()) ids.push_back(id);
    for (const Output& output : node.outputs) ids.insert(ids.end(), output.ids.begin(), output.ids.end());
  }
  for (const auto& [from, to] : step.renamed) ids.push_back(to);
  if (step.kind != Step::Kind::Operator) ids.insert(ids.end(), {step.input, step.output});
  if (step.fused.post.residual) ids.push_back(*step.fused.post.residual);
  return ids;
}

}  // namespace

Program::Program(const Target& target, const Schedule& schedule) : inputs_(target.model.graph.inputs) {
  const at::NoGradGuard no_gradient;
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  const Graph& graph = target.model.graph;
  frame_size_ = graph.values.size() + schedule.copies.size() + 1;
  for (const Step& step : schedule.steps)
    if (step.kind != Step::Kind::Operator && index(step.input) < graph.values.size() &&
        target.value(step.input).is_data())
      data_.emplace(step.input, target.tensor(step.input));
  Frame frame = frame_of(random_inputs(target.model, target.batch));
  find_last_uses(graph, schedule);
  for (const Step& step : schedule.steps) {
    steps_.push_back(bind(target, step, frame));
    drop_after(steps_.size() - 1, frame);
  }
  for (const ValueId id : graph.outputs) {
    const Value& value = target.value(id);
    results_.push_back({id, to_scalar_type(value.dtype), target.model.tensors[index(id)]});
  }
}

Frame Program::frame_of(std::span<const at::Tensor> inputs) const {
  Frame frame(frame_size_);
  for (std::size_t i = 0; i < inputs.size(); ++i) frame[index(inputs_[i])] = inputs[i];
  for (const auto& [id, tensor] : data_) frame[index(id)] = tensor;
  return frame;
}

void Program::find_last_uses(const Graph& graph, const Schedule& schedule) {
  std::vector<std::ptrdiff_t> last(frame_size_, -1);
  for (std::size_t i = 0; i < schedule.steps.size(); ++i)
    for (const ValueId id : values_of(graph, schedule.steps[i])) last[index(id)] = static_cast<std::ptrdiff_t>(i);
  for (const ValueId id : graph.outputs) last[index(id)] = -1;
  last_uses_.resize(schedule.steps.size());
  for (std::size_t id = 0; id < last.size(); ++id)
    if (last[id] >= 0) last_uses_[static_cast<std::size_t>(last[id])].push_back(static_cast<ValueId>(id));
}

void Program::drop_after(std::size_t step, Frame& frame) const {
  for (const ValueId id : last_uses_[step]) frame[index(id)].reset();
}

Frame Program::run(std::span<const at::Tensor> inputs, std::vector<double>* microseconds) const {
  const at::NoGradGuard no_gradient;
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  Frame frame = frame_of(inputs);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto start = microseconds != nullptr ? Clock::now() : Clock::time_point{};
    steps_[i].run(frame);
    drop_after(i, frame);
    if (microseconds != nullptr)
      microseconds->push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  return frame;
}

std::vector<at::Tensor> Program::outputs(const Frame& frame) const {
  const at::NoGradGuard no_gradient;
  std::vector<at::Tensor> outputs;
  for (const Result& result : results_) {
    const at::Tensor& tensor = result.data.defined() ? result.data : frame[index(result.id)];
    outputs.push_back(tensor.detach().to(result.type, false, true, at::MemoryFormat::Contiguous));
  }
  return outputs;
}

}  // namespace halftone::internal
