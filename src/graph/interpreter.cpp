#include "halftone/graph/interpreter.hpp"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

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
  std::vector<SymInt> ints;
};

struct Step {
  c10::OperatorHandle op;
  std::vector<Slot> slots;
  const std::vector<Output>* outputs;
  std::vector<std::size_t> sites{};  ///< indices into Model::sites
  std::vector<ValueId> reads{};
  std::vector<ValueId> last_uses;  ///< inputs and computed values that nothing reads after this step
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
  Slot operator()(SymInt number) const {
    if (number.is_fixed()) return {.constant = number.offset};
    return {.kind = Slot::Kind::Int, .ints = {number}};
  }
  Slot operator()(const std::vector<SymInt>& numbers) const {
    std::vector<std::int64_t> fixed;
    for (const auto number : numbers) {
      if (!number.is_fixed()) return {.kind = Slot::Kind::IntList, .ints = numbers};
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
  Step step{.op = *op, .slots = {}, .outputs = &node.outputs, .reads = read_values(node), .last_uses = {}};
  for (std::size_t i = 0; i < arguments.size(); ++i)
    step.slots.push_back(std::visit(SlotMaker{arguments[i], device}, node.arguments[i]));
  return step;
}

}  // namespace

struct Interpreter::Program {
  const Model& model;
  std::vector<Step> steps;
  std::vector<ValueId> recorded{};  ///< what replays read of a clean pass, inputs and computed values
  std::vector<ValueId> owner{};     ///< by value: whose memory it may share, itself where it is no view
  bool writes_in_place = false;

  explicit Program(const Model& borrowed) : model(borrowed) {
    const at::Device device = internal::device_of(model);
    for (const auto& node : model.graph.nodes) steps.push_back(make_step(node, device));
    for (std::size_t i = 0; i < model.sites.size(); ++i) steps[model.sites[i].node].sites.push_back(i);
    for (const auto& node : model.graph.nodes) writes_in_place = writes_in_place || !node.written.empty();
    find_last_uses();
    find_recorded();
    find_owners();
  }

  /// Operators say which argument their results may be views of.
  void find_owners() {
    owner.resize(model.graph.values.size());
    std::iota(owner.begin(), owner.end(), 0);
    for (const Step& step : steps) {
      const auto& schema = step.op.schema();
      for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
        if (schema.arguments()[i].alias_info() == nullptr || step.slots[i].kind != Slot::Kind::Tensor) continue;
        for (std::size_t k = 0; k < step.outputs->size(); ++k)
          if (schema.returns()[k].alias_info() != nullptr)
            for (const auto id : (*step.outputs)[k].ids)
              owner[static_cast<std::size_t>(id)] = owner[static_cast<std::size_t>(*step.slots[i].ids[0])];
        break;
      }
    }
  }

  [[nodiscard]] std::int64_t bytes(ValueId id, const Sizes& at) const {
    const Value& value = model.graph.values[static_cast<std::size_t>(id)];
    const auto sizes = sizes_at(value.shape, at);
    const auto element = static_cast<std::int64_t>(info(value.dtype).bytes);
    return std::accumulate(sizes.begin(), sizes.end(), element, std::multiplies<>());
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
      if (last[id] >= 0 && !graph.values[id].is_data())
        steps[static_cast<std::size_t>(last[id])].last_uses.push_back(static_cast<ValueId>(id));
  }

  /// A replay reads a clean value where some site reaches the reader but not the value. Values between two neighbouring
  /// sites, such as what goes from a convolution into its ReLU, are therefore never kept.
  void find_recorded() {
    std::vector<std::vector<bool>> reaching(model.graph.values.size());  // by value: the sites upstream
    std::vector<bool> is_recorded(model.graph.values.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      std::vector<bool> sites(model.sites.size());
      for (const std::size_t site : steps[i].sites) sites[site] = true;
      for (const auto id : steps[i].reads) {
        const auto& upstream = reaching[static_cast<std::size_t>(id)];
        for (std::size_t site = 0; site < upstream.size(); ++site)
          if (upstream[site]) sites[site] = true;
      }
      for (const auto id : steps[i].reads) {
        const auto index = static_cast<std::size_t>(id);
        const auto count = [](const std::vector<bool>& flags) { return std::count(flags.begin(), flags.end(), true); };
        if (!model.graph.values[index].is_data() && count(sites) > count(reaching[index])) is_recorded[index] = true;
      }
      for (const auto& output : *steps[i].outputs)
        for (const auto id : output.ids) reaching[static_cast<std::size_t>(id)] = sites;
    }
    for (std::size_t id = 0; id < is_recorded.size(); ++id)
      if (is_recorded[id]) recorded.push_back(static_cast<ValueId>(id));
  }

  /// By step: whether a replay of `changed` sites runs it.
  std::vector<bool> reached(const CleanPass& clean, std::span<const std::size_t> changed) const {
    if (!clean.is_whole) return std::vector<bool>(steps.size(), true);
    std::vector<bool> values(model.graph.values.size());
    std::vector<bool> result(steps.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const Step& step = steps[i];
      const auto reads_changed = [&](ValueId id) { return values[static_cast<std::size_t>(id)]; };
      const auto is_changed = [&](std::size_t site) {
        return std::find(changed.begin(), changed.end(), site) != changed.end();
      };
      result[i] = std::any_of(step.reads.begin(), step.reads.end(), reads_changed) ||
                  std::any_of(step.sites.begin(), step.sites.end(), is_changed);
      if (!result[i]) continue;
      for (const auto& output : *step.outputs)
        for (const auto id : output.ids) values[static_cast<std::size_t>(id)] = true;
    }
    return result;
  }

  void check_count(std::span<const at::Tensor> inputs) const {
    if (inputs.size() != model.graph.inputs.size())
      throw Error(Errc::InvalidArgument,
                  message("the model takes ", model.graph.inputs.size(), " inputs, got ", inputs.size()));
  }

  Sizes check_inputs(std::span<const at::Tensor> inputs) const {
    const Graph& graph = model.graph;
    check_count(inputs);
    std::vector<std::vector<std::int64_t>> shapes;
    for (const at::Tensor& input : inputs) shapes.push_back(input.sizes().vec());
    const Sizes sizes = find_sizes(graph, shapes);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Value& value = graph.values[static_cast<std::size_t>(graph.inputs[i])];
      const at::Tensor& input = inputs[i];
      const auto wanted = sizes_at(value.shape, sizes);
      if (input.sizes() != at::IntArrayRef(wanted) || input.scalar_type() != internal::to_scalar_type(value.dtype))
        throw Error(Errc::InvalidArgument,
                    message("input \"", value.name, "\" is ", at::toString(input.scalar_type()), ' ', input.sizes(),
                            ", the model takes ", info(value.dtype).name, ' ', at::IntArrayRef(wanted), " at batch ",
                            sizes.batch, graph.length > 0 ? message(" and length ", sizes.length) : ""));
    }
    return sizes;
  }
};

namespace {

/// The tensors of one pass.
class Frame {
 public:
  /// Values that are not set come from `recorded`, where there is one, and from the model.
  Frame(const Model& model, const Sizes& sizes, const std::vector<at::Tensor>* recorded = nullptr)
      : model_(model), sizes_(sizes), recorded_(recorded), computed_(model.graph.values.size()) {}

  const at::Tensor& operator[](ValueId id) const {
    const auto index = static_cast<std::size_t>(id);
    if (computed_[index].defined()) return computed_[index];
    if (recorded_ != nullptr && (*recorded_)[index].defined()) return (*recorded_)[index];
    return model_.tensors[index];
  }
  void set(ValueId id, at::Tensor tensor) { computed_[static_cast<std::size_t>(id)] = std::move(tensor); }
  [[nodiscard]] bool is_set(ValueId id) const { return computed_[static_cast<std::size_t>(id)].defined(); }
  void drop(ValueId id) { computed_[static_cast<std::size_t>(id)].reset(); }

  c10::IValue argument(const Slot& slot) const {
    switch (slot.kind) {
      case Slot::Kind::Constant:
        return slot.constant;
      case Slot::Kind::Tensor:
        return (*this)[*slot.ids[0]];
      case Slot::Kind::Int:
        return slot.ints[0].at(sizes_);
      case Slot::Kind::IntList: {
        c10::List<std::int64_t> list;
        for (const auto number : slot.ints) list.push_back(number.at(sizes_));
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
  Sizes sizes_;
  const std::vector<at::Tensor>* recorded_;
  std::vector<at::Tensor> computed_;
};

/// A visitor, and which sites it sees; none: all.
struct Visit {
  SiteVisitor& visitor;
  std::span<const std::size_t> changed{};

  [[nodiscard]] bool sees(std::size_t site) const {
    return changed.empty() || std::find(changed.begin(), changed.end(), site) != changed.end();
  }
};

/// Leaves the arguments of `step` on the stack.
void push_arguments(const Model& model, const Step& step, const Visit* visit, const Frame& frame,
                    torch::jit::Stack& stack) {
  stack.clear();
  for (const Slot& slot : step.slots) stack.push_back(frame.argument(slot));
  if (visit != nullptr)
    for (const std::size_t index : step.sites) {
      if (!visit->sees(index)) continue;
      const Site& site = model.sites[index];
      stack[site.argument] = visit->visitor.input(index, stack[site.argument].toTensor());
      if (site.has_weight()) stack[1] = visit->visitor.weight(index, stack[1].toTensor());
    }
}

void execute(const Model& model, const Step& step, const Visit* visit, Frame& frame, torch::jit::Stack& stack) {
  push_arguments(model, step, visit, frame, stack);
  step.op.callBoxed(stack);
  frame.store(*step.outputs, stack);
}

std::vector<at::Tensor> read_outputs(const Graph& graph, const Frame& frame) {
  std::vector<at::Tensor> outputs;
  for (const auto id : graph.outputs) outputs.push_back(frame[id]);
  return outputs;
}

}  // namespace

Interpreter::Interpreter(const Model& model) : program_(std::make_unique<Program>(model)) {}
Interpreter::~Interpreter() = default;
Interpreter::Interpreter(Interpreter&&) noexcept = default;

std::vector<at::Tensor> Interpreter::run(std::span<const at::Tensor> inputs, SiteVisitor* visitor) const {
  return run_all(inputs, program_->check_inputs(inputs), nullptr, visitor);
}

std::vector<at::Tensor> Interpreter::run(std::span<const at::Tensor> inputs, const Sizes& sizes, Caller& caller,
                                         SiteVisitor* visitor) const {
  program_->check_count(inputs);
  return run_all(inputs, sizes, &caller, visitor);
}

std::vector<at::Tensor> Interpreter::run_all(std::span<const at::Tensor> inputs, const Sizes& sizes, Caller* caller,
                                             SiteVisitor* visitor) const {
  const Model& model = program_->model;
  Frame frame(model, sizes);
  for (std::size_t i = 0; i < inputs.size(); ++i) frame.set(model.graph.inputs[i], inputs[i]);
  const std::optional<Visit> visit = visitor == nullptr ? std::nullopt : std::optional(Visit{*visitor});
  torch::jit::Stack stack;
  for (std::size_t i = 0; i < program_->steps.size(); ++i) {
    const Step& step = program_->steps[i];
    push_arguments(model, step, visit ? &*visit : nullptr, frame, stack);
    if (caller != nullptr)
      caller->call(i, step.op, stack);
    else
      step.op.callBoxed(stack);
    frame.store(*step.outputs, stack);
    for (const auto id : step.last_uses) frame.drop(id);
  }
  return read_outputs(model.graph, frame);
}

CleanPass Interpreter::record(std::span<const at::Tensor> inputs, std::int64_t most_bytes) const {
  const Model& model = program_->model;
  const Sizes sizes = program_->check_inputs(inputs);
  CleanPass clean{.outputs = {},
                  .values = std::vector<at::Tensor>(model.graph.values.size()),
                  .sizes = sizes,
                  .is_whole = recorded_bytes(sizes) <= most_bytes};
  std::vector<bool> keep(model.graph.values.size());
  for (const auto id : clean.is_whole ? program_->recorded : model.graph.inputs)
    keep[static_cast<std::size_t>(id)] = true;

  Frame frame(model, sizes);
  const auto set = [&](ValueId id) {
    if (keep[static_cast<std::size_t>(id)]) clean.values[static_cast<std::size_t>(id)] = frame[id];
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    frame.set(model.graph.inputs[i], inputs[i]);
    set(model.graph.inputs[i]);
  }
  torch::jit::Stack stack;
  for (const Step& step : program_->steps) {
    execute(model, step, nullptr, frame, stack);
    for (const auto& output : *step.outputs)
      for (const auto id : output.ids) set(id);
    for (const auto id : step.last_uses) frame.drop(id);
  }
  clean.outputs = read_outputs(model.graph, frame);
  return clean;
}

std::vector<at::Tensor> Interpreter::replay(const CleanPass& clean, std::span<const std::size_t> changed,
                                            SiteVisitor& visitor) const {
  if (changed.empty()) return clean.outputs;
  const Model& model = program_->model;
  const std::vector<bool> reached = program_->reached(clean, changed);
  const Visit visit{visitor, changed};
  Frame frame(model, clean.sizes, &clean.values);
  torch::jit::Stack stack;
  for (std::size_t i = 0; i < reached.size(); ++i) {
    if (!reached[i]) continue;
    const Step& step = program_->steps[i];
    execute(model, step, &visit, frame, stack);
    for (const auto id : step.last_uses) frame.drop(id);
  }
  std::vector<at::Tensor> outputs = clean.outputs;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (frame.is_set(model.graph.outputs[i])) outputs[i] = frame[model.graph.outputs[i]];
  return outputs;
}

std::int64_t Interpreter::recorded_bytes(const Sizes& sizes) const {
  if (program_->writes_in_place) return std::numeric_limits<std::int64_t>::max();
  std::int64_t bytes = 0;
  std::map<ValueId, std::int64_t> smallest;  // view by the value whose memory it may keep alive
  for (const auto id : program_->recorded) {
    const std::int64_t own = program_->bytes(id, sizes);
    bytes += own;
    const auto entry = smallest.try_emplace(program_->owner[static_cast<std::size_t>(id)], own).first;
    entry->second = std::min(entry->second, own);
  }
  // One view at least is no copy, and then what it is of is there as well.
  for (const auto& [owner, view] : smallest)
    if (!program_->model.graph.values[static_cast<std::size_t>(owner)].is_data())
      bytes += std::max<std::int64_t>(0, program_->bytes(owner, sizes) - view);
  return bytes;
}

double Interpreter::replayed_share(const CleanPass& clean, std::span<const std::size_t> changed) const {
  const std::vector<bool> reached = program_->reached(clean, changed);
  std::int64_t run = 0;
  std::int64_t all = 0;
  for (const Site& site : program_->model.sites) {
    all += site.macs;
    if (reached[site.node]) run += site.macs;
  }
  return all == 0 ? 1 : static_cast<double>(run) / static_cast<double>(all);
}

}  // namespace halftone
