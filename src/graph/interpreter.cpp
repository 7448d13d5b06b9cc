#include "halftone/graph/interpreter.hpp"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <map>

#include "core/scalar_type.hpp"
#include "graph/device.hpp"
#include "halftone/core/error.hpp"

namespace halftone {

namespace {

/// How one argument of a step comes about at run time.
struct Slot {
  enum class Kind { Constant, Tensor, TensorList, OptionalTensorList, Int, IntList };

  Kind kind = Kind::Constant;
  c10::IValue constant;
  std::vector<std::optional<ValueId>> ids;
  std::vector<BatchInt> ints;
};

struct Step {
  c10::OperatorHandle op;
  std::vector<Slot> slots;
  const std::vector<Output>* outputs;
  std::vector<std::size_t> sites{};  ///< indices into Model::sites
  std::vector<ValueId> last_uses;    ///< computed values that nothing reads after this step
};

template <class Items>
auto to_list(const Items& items) {
  c10::List<typename Items::value_type> list;
  for (const auto& item : items) list.push_back(item);
  return list;
}

bool is_optional_tensor_list(const c10::TypePtr& type) {
  const auto list = type->cast<c10::ListType>();
  return list && list->getElementType()->kind() == c10::TypeKind::OptionalType;
}

struct SlotMaker {
  const c10::Argument& schema;
  at::Device device;

  Slot operator()(None) const {
    const bool tensor = schema.type()->kind() == c10::TypeKind::TensorType;
    return {.constant = tensor ? c10::IValue(at::Tensor()) : c10::IValue()};
  }
  Slot operator()(ValueRef ref) const { return {.kind = Slot::Kind::Tensor, .ids = {ref.id}}; }
  Slot operator()(const std::vector<std::optional<ValueId>>& ids) const {
    const bool optional = is_optional_tensor_list(schema.type());
    return {.kind = optional ? Slot::Kind::OptionalTensorList : Slot::Kind::TensorList, .ids = ids};
  }
  Slot operator()(BatchInt number) const {
    if (number.slope == 0) return {.constant = number.offset};
    return {.kind = Slot::Kind::Int, .ints = {number}};
  }
  Slot operator()(const std::vector<BatchInt>& numbers) const {
    std::vector<std::int64_t> fixed;
    for (const auto number : numbers) {
      if (number.slope != 0) return {.kind = Slot::Kind::IntList, .ints = numbers};
      fixed.push_back(number.offset);
    }
    return {.constant = to_list(fixed)};
  }
  Slot operator()(double number) const { return {.constant = number}; }
  Slot operator()(const std::vector<double>& numbers) const { return {.constant = to_list(numbers)}; }
  Slot operator()(bool flag) const { return {.constant = flag}; }
  Slot operator()(const std::vector<bool>& flags) const { return {.constant = to_list(flags)}; }
  Slot operator()(const std::string& string) const { return {.constant = string}; }
  Slot operator()(ModelDevice) const { return {.constant = device}; }
};

Step make_step(const Node& node, at::Device device) {
  const auto op = c10::Dispatcher::singleton().findSchema({node.op, node.overload});
  if (!op)
    throw Error(Errc::Unsupported, message("operator ", node.op, node.overload.empty() ? "" : ".", node.overload,
                                           " does not exist in this LibTorch"));
  const auto& arguments = op->schema().arguments();
  if (arguments.size() != node.arguments.size())
    throw Error(Errc::Unsupported, message("operator ", node.op, " takes ", arguments.size(),
                                           " arguments in this LibTorch, the graph gives ", node.arguments.size()));
  Step step{.op = *op, .slots = {}, .outputs = &node.outputs, .last_uses = {}};
  for (std::size_t i = 0; i < arguments.size(); ++i)
    step.slots.push_back(std::visit(SlotMaker{arguments[i], device}, node.arguments[i]));
  return step;
}

}  // namespace

struct Interpreter::Program {
  const Model& model;
  std::vector<Step> steps;

  explicit Program(const Model& borrowed) : model(borrowed) {
    const at::Device device = internal::device_of(model);
    for (const auto& node : model.graph.nodes) steps.push_back(make_step(node, device));
    for (std::size_t i = 0; i < model.sites.size(); ++i) steps[model.sites[i].node].sites.push_back(i);
    find_last_uses();
  }

  void find_last_uses() {
    const Graph& graph = model.graph;
    std::vector<std::ptrdiff_t> last(graph.values.size(), -1);
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      for (const auto id : read_values(graph.nodes[i]))
        last[static_cast<std::size_t>(id)] = static_cast<std::ptrdiff_t>(i);
      for (const auto& output : graph.nodes[i].outputs)
        for (const auto id : output.ids) last[static_cast<std::size_t>(id)] = static_cast<std::ptrdiff_t>(i);
    }
    for (const auto id : graph.outputs) last[static_cast<std::size_t>(id)] = -1;
    for (std::size_t id = 0; id < last.size(); ++id)
      if (last[id] >= 0 && graph.values[id].kind != ValueKind::Parameter &&
          graph.values[id].kind != ValueKind::Constant)
        steps[static_cast<std::size_t>(last[id])].last_uses.push_back(static_cast<ValueId>(id));
  }

  std::int64_t check_inputs(std::span<const at::Tensor> inputs) const {
    const Graph& graph = model.graph;
    if (inputs.size() != graph.inputs.size())
      throw Error(Errc::InvalidArgument,
                  message("the model takes ", graph.inputs.size(), " inputs, got ", inputs.size()));
    std::int64_t batch = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Value& value = graph.values[static_cast<std::size_t>(graph.inputs[i])];
      const at::Tensor& input = inputs[i];
      if (i == 0 && input.dim() > 0) batch = input.size(0);
      const auto wanted = sizes_at(value.shape, batch);
      if (input.sizes() != at::IntArrayRef(wanted) || input.scalar_type() != internal::to_scalar_type(value.dtype))
        throw Error(Errc::InvalidArgument, message("input \"", value.name, "\" is ", at::toString(input.scalar_type()),
                                                   ' ', input.sizes(), ", the model takes ", info(value.dtype).name,
                                                   ' ', at::IntArrayRef(wanted), " at batch ", batch));
    }
    return batch;
  }
};

namespace {

/// The tensors of one pass.
class Frame {
 public:
  Frame(const Model& model, std::int64_t batch) : model_(model), batch_(batch), computed_(model.graph.values.size()) {}

  const at::Tensor& operator[](ValueId id) const {
    const auto index = static_cast<std::size_t>(id);
    return computed_[index].defined() ? computed_[index] : model_.tensors[index];
  }
  void set(ValueId id, at::Tensor tensor) { computed_[static_cast<std::size_t>(id)] = std::move(tensor); }
  void drop(ValueId id) { computed_[static_cast<std::size_t>(id)].reset(); }

  c10::IValue argument(const Slot& slot) const {
    switch (slot.kind) {
      case Slot::Kind::Constant:
        return slot.constant;
      case Slot::Kind::Tensor:
        return (*this)[*slot.ids[0]];
      case Slot::Kind::Int:
        return slot.ints[0].at(batch_);
      case Slot::Kind::IntList: {
        c10::List<std::int64_t> list;
        for (const auto number : slot.ints) list.push_back(number.at(batch_));
        return list;
      }
      case Slot::Kind::TensorList: {
        c10::List<at::Tensor> list;
        for (const auto id : slot.ids) list.push_back((*this)[*id]);
        return list;
      }
      case Slot::Kind::OptionalTensorList: {
        c10::List<std::optional<at::Tensor>> list;
        for (const auto id : slot.ids) list.push_back(id ? std::optional((*this)[*id]) : std::nullopt);
        return list;
      }
    }
    return {};
  }

  void store(const std::vector<Output>& outputs, torch::jit::Stack& stack) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const Output& output = outputs[i];
      if (output.is_list) {
        const auto tensors = stack[i].toTensorVector();
        TORCH_INTERNAL_ASSERT(tensors.size() == output.ids.size(), "a list output changed its length");
        for (std::size_t k = 0; k < tensors.size(); ++k) set(output.ids[k], tensors[k]);
      } else if (!output.ids.empty()) {
        set(output.ids[0], std::move(stack[i]).toTensor());
      }
    }
  }

 private:
  const Model& model_;
  std::int64_t batch_;
  std::vector<at::Tensor> computed_;
};

void visit(const Model& model, const Step& step, SiteVisitor& visitor, torch::jit::Stack& stack) {
  for (const std::size_t index : step.sites) {
    const Site& site = model.sites[index];
    stack[site.argument] = visitor.input(index, stack[site.argument].toTensor());
    if (site.has_weight()) stack[1] = visitor.weight(index, stack[1].toTensor());
  }
}

}  // namespace

Interpreter::Interpreter(const Model& model) : program_(std::make_unique<Program>(model)) {}
Interpreter::~Interpreter() = default;
Interpreter::Interpreter(Interpreter&&) noexcept = default;

std::vector<at::Tensor> Interpreter::run(std::span<const at::Tensor> inputs, SiteVisitor* visitor) const {
  const Graph& graph = program_->model.graph;
  Frame frame(program_->model, program_->check_inputs(inputs));
  for (std::size_t i = 0; i < inputs.size(); ++i) frame.set(graph.inputs[i], inputs[i]);
  torch::jit::Stack stack;
  for (const Step& step : program_->steps) {
    stack.clear();
    for (const Slot& slot : step.slots) stack.push_back(frame.argument(slot));
    if (visitor != nullptr) visit(program_->model, step, *visitor, stack);
    step.op.callBoxed(stack);
    frame.store(*step.outputs, stack);
    for (const auto id : step.last_uses) frame.drop(id);
  }
  std::vector<at::Tensor> outputs;
  for (const auto id : graph.outputs) outputs.push_back(frame[id]);
  return outputs;
}

}  // namespace halftone
