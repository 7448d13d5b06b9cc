#include "halftone/spatial/spatial_network.hpp"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>

#include "core/scalar_type.hpp"
#include "halftone/core/error.hpp"
#include "halftone/spatial/exchange.hpp"
#include "spatial/split_plan.hpp"

namespace halftone {
namespace {

using namespace internal;

constexpr std::size_t kRows = 2;

/// Replaces tensors, alone or in lists, among the arguments of a call; `change` gets each with its value.
template <class Change>
void change_tensors(const Node& node, std::vector<c10::IValue>& stack, const Change& change) {
  for (std::size_t i = 0; i < stack.size(); ++i) {
    if (const auto* ref = std::get_if<ValueRef>(&node.arguments[i])) {
      stack[i] = change(ref->id, stack[i].toTensor());
    } else if (const auto* ids = std::get_if<std::vector<std::optional<ValueId>>>(&node.arguments[i])) {
      c10::List<c10::IValue> list = stack[i].toList();
      for (std::size_t k = 0; k < ids->size(); ++k)
        if ((*ids)[k]) list.set(k, change(*(*ids)[k], list.get(k).toTensor()));
    }
  }
}

/// Makes the calls of a pass on this rank's rows.
class RowsCaller final : public Caller {
 public:
  RowsCaller(const Graph& graph, const SplitPlan& plan, Communicator& communicator)
      : graph_(graph), plan_(plan), communicator_(communicator) {}

  void call(std::size_t index, const c10::OperatorHandle& op, std::vector<c10::IValue>& stack) override {
    const Node& node = graph_.nodes[index];
    const Handling& handling = plan_.handling(index);
    if (const auto* result = std::get_if<SplitResult>(&handling)) return result->call(split_call(node, op, stack));
    if (const auto* result = std::get_if<WholeResult>(&handling)) return result->call(split_call(node, op, stack));
    if (std::holds_alternative<OnGathered>(handling))
      change_tensors(node, stack, [this](ValueId id, const at::Tensor& tensor) { return whole(id, tensor); });
    if (std::holds_alternative<LocalRows>(handling)) cut_wholes(node, stack);
    op.callBoxed(stack);
  }

  /// A value as every rank has to see it.
  at::Tensor whole(ValueId id, const at::Tensor& tensor) const {
    return plan_.is_split(id) ? gather_rows(tensor, plan_.split(id), communicator_) : tensor;
  }

 private:
  SplitCall split_call(const Node& node, const c10::OperatorHandle& op, std::vector<c10::IValue>& stack) const {
    return {op, stack, plan_.split(std::get<ValueRef>(node.arguments[0]).id), communicator_};
  }

  /// Tensors that are whole have rows of their own beside those of a split image, or one row for all.
  void cut_wholes(const Node& node, std::vector<c10::IValue>& stack) const {
    const auto reads = read_values(node);
    const auto image = std::find_if(reads.begin(), reads.end(), [this](ValueId id) { return plan_.is_split(id); });
    const RowSplit split = plan_.split(*image);
    const RowRange own = split.of(communicator_.rank());
    change_tensors(node, stack, [&](ValueId id, const at::Tensor& tensor) {
      const bool has_rows = !plan_.is_split(id) && tensor.dim() >= 2 && tensor.size(-2) == split.rows();
      return has_rows ? tensor.narrow(-2, own.first, own.count()) : tensor;
    });
  }

  const Graph& graph_;
  const SplitPlan& plan_;
  Communicator& communicator_;
};

}  // namespace

struct SpatialNetwork::Program {
  const Model& model;
  Communicator& communicator;
  Interpreter interpreter;
  SplitPlan plan;

  Program(const Model& borrowed, Communicator& ranks, const SpatialOptions& options)
      : model(borrowed),
        communicator(ranks),
        interpreter(borrowed),
        plan(borrowed.graph, ranks.size(), options.gather) {}

  /// Throws where `inputs` are not whole, or this rank's part.
  [[nodiscard]] Sizes check(std::span<const at::Tensor> inputs, bool are_whole) const {
    const Graph& graph = model.graph;
    if (inputs.size() != graph.inputs.size())
      throw Error(Errc::InvalidArgument,
                  message("the model takes ", graph.inputs.size(), " inputs, got ", inputs.size()));
    std::vector<std::vector<std::int64_t>> shapes;
    for (const at::Tensor& input : inputs) shapes.push_back(input.sizes().vec());
    const Sizes sizes = find_sizes(graph, shapes);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Value& value = graph.values[static_cast<std::size_t>(graph.inputs[i])];
      auto wanted = sizes_at(value.shape, sizes);
      const bool is_part = plan.is_split(graph.inputs[i]) && !are_whole;
      if (is_part) wanted[kRows] = plan.split(graph.inputs[i]).of(communicator.rank()).count();
      if (inputs[i].sizes() != at::IntArrayRef(wanted) || inputs[i].scalar_type() != to_scalar_type(value.dtype))
        throw Error(
            Errc::InvalidArgument,
            message("input \"", value.name, "\" is ", at::toString(inputs[i].scalar_type()), ' ', inputs[i].sizes(),
                    ", rank ", communicator.rank(), " of ", communicator.size(), " takes ", info(value.dtype).name, ' ',
                    at::IntArrayRef(wanted), is_part ? ", its part (see SpatialNetwork::split_inputs)" : ""));
    }
    return sizes;
  }
};

SpatialNetwork::SpatialNetwork(const Model& model, Communicator& communicator, const SpatialOptions& options)
    : program_(std::make_unique<Program>(model, communicator, options)) {}
SpatialNetwork::~SpatialNetwork() = default;
SpatialNetwork::SpatialNetwork(SpatialNetwork&&) noexcept = default;

std::optional<RowSplit> SpatialNetwork::input_split(std::size_t index) const {
  const auto& inputs = program_->model.graph.inputs;
  if (index >= inputs.size())
    throw Error(Errc::InvalidArgument, message("input ", index, " of a model that takes ", inputs.size()));
  return program_->plan.is_split(inputs[index]) ? std::optional(program_->plan.split(inputs[index])) : std::nullopt;
}

std::vector<at::Tensor> SpatialNetwork::split_inputs(std::span<const at::Tensor> whole) const {
  (void)program_->check(whole, true);
  std::vector<at::Tensor> parts;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const auto split = input_split(i);
    parts.push_back(split ? split_rows(whole[i], *split, program_->communicator.rank()) : whole[i]);
  }
  return parts;
}

std::vector<at::Tensor> SpatialNetwork::run(std::span<const at::Tensor> inputs, SiteVisitor* visitor) const {
  const Sizes sizes = program_->check(inputs, false);
  const Graph& graph = program_->model.graph;
  RowsCaller caller(graph, program_->plan, program_->communicator);
  auto outputs = program_->interpreter.run(inputs, sizes, caller, visitor);
  for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i] = caller.whole(graph.outputs[i], outputs[i]);
  return outputs;
}

const std::vector<std::string>& SpatialNetwork::gathered() const { return program_->plan.gathered(); }

}  // namespace halftone
