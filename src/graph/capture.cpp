#include "halftone/graph/capture.hpp"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/openmp_threads.hpp"
#include "core/scalar_type.hpp"
#include "graph/recorder.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/passes.hpp"

namespace halftone {

namespace {

// Batch 1 is avoided: code often treats it specially.
constexpr std::int64_t kFirstBatch = 2;
constexpr std::int64_t kCheckBatch = 5;

/// Turns requires_grad on for the parameters while it lives: without it some modules take fused paths that have no
/// gradients.
class RequireGrad {
 public:
  explicit RequireGrad(const std::vector<NamedTensor>& parameters) {
    for (const auto& [name, tensor, is_buffer] : parameters)
      if (!is_buffer && tensor.defined() && tensor.is_floating_point() && tensor.is_leaf() && !tensor.requires_grad()) {
        tensor.requires_grad_(true);
        changed_.push_back(tensor);
      }
  }
  ~RequireGrad() {
    for (auto& tensor : changed_) tensor.requires_grad_(false);
  }
  RequireGrad(const RequireGrad&) = delete;
  RequireGrad& operator=(const RequireGrad&) = delete;

 private:
  std::vector<at::Tensor> changed_;
};

struct Recording {
  Model model;
  std::vector<std::size_t> storages;  ///< by value; equal for values that share memory
};

/// Sizes along the dimensions that may vary; nothing: as given.
struct Extent {
  std::optional<std::int64_t> batch;
  std::optional<std::int64_t> length;
};

/// Copies of the inputs at other sizes: what there is, over and over.
std::vector<at::Tensor> copy_inputs(const std::vector<at::Tensor>& inputs, const Extent& extent,
                                    const CaptureOptions& options) {
  const auto resized = [](const at::Tensor& input, std::int64_t dimension, std::optional<std::int64_t> size) {
    const std::int64_t given = input.size(dimension);
    const auto indices = at::arange(size.value_or(given), at::kLong).remainder(given).to(input.device());
    return input.index_select(dimension, indices);
  };
  std::vector<at::Tensor> result;
  for (const auto& input : inputs) {
    result.push_back(resized(input, 0, extent.batch));
    if (options.length_dimension && *options.length_dimension < input.dim())
      result.back() = resized(result.back(), *options.length_dimension, extent.length);
  }
  return result;
}

Recording record(const ForwardFn& forward, const std::vector<NamedTensor>& parameters,
                 const std::vector<at::Tensor>& inputs, const CaptureOptions& options) {
  internal::Recorder recorder(parameters, inputs, options);
  recorder.record(forward, inputs);
  std::map<const void*, std::size_t> numbers;
  std::vector<std::size_t> storages;
  for (const void* storage : recorder.storages())
    storages.push_back(numbers.emplace(storage, numbers.size()).first->second);
  return {recorder.take_model(), std::move(storages)};
}

/// The functional operator that does what in-place `node` does, where there is one.
std::optional<c10::OperatorHandle> functional_form(const Node& node) {
  if (node.written.size() != 1 || node.written[0] != 0 || !node.op.ends_with('_')) return std::nullopt;
  if (node.op == "aten::copy_") return std::nullopt;  // aten::copy has no derivative
  const std::string name = node.op.substr(0, node.op.size() - 1);
  const auto op = c10::Dispatcher::singleton().findSchema({name, node.overload});
  if (!op || op->schema().arguments().size() != node.arguments.size() || op->schema().returns().size() != 1 ||
      op->schema().returns()[0].alias_info() != nullptr)  // unsqueeze_ and the like: the other form is a view
    return std::nullopt;
  return op;
}

/// Whether an in-place node may become functional: the value it writes owns its memory, all tensors have its element
/// type, and nothing later reads that memory under an older name.
bool may_become_functional(const Recording& recording, std::size_t index) {
  const Graph& graph = recording.model.graph;
  const Node& node = graph.nodes[index];
  const auto* written = std::get_if<ValueRef>(&node.arguments[0]);
  if (written == nullptr || node.outputs.size() != 1 || node.outputs[0].ids.size() != 1) return false;
  const auto storage = [&](ValueId id) { return recording.storages[static_cast<std::size_t>(id)]; };
  const auto dtype = [&](ValueId id) { return graph.values[static_cast<std::size_t>(id)].dtype; };
  const ValueId result = node.outputs[0].ids[0];
  const auto reads_memory = [&](ValueId id) { return id < result && storage(id) == storage(result); };
  for (const auto id : read_values(node))
    if (dtype(id) != dtype(result) || (id != written->id && reads_memory(id))) return false;
  for (ValueId id = 0; id < written->id; ++id)  // an earlier name of the same memory: the value is a view
    if (storage(id) == storage(result)) return false;
  for (std::size_t i = index + 1; i < graph.nodes.size(); ++i) {
    const auto ids = read_values(graph.nodes[i]);
    if (std::any_of(ids.begin(), ids.end(), reads_memory)) return false;
  }
  return std::none_of(graph.outputs.begin(), graph.outputs.end(), reads_memory);
}

/// Turns in-place operators into functional ones where that is safe; after a chain of them the newest name owns the
/// memory.
void make_functional(Recording& recording) {
  Graph& graph = recording.model.graph;
  std::size_t fresh = recording.storages.size();
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    if (!functional_form(node) || !may_become_functional(recording, i)) continue;
    node.op.pop_back();
    node.written.clear();
    const ValueId result = node.outputs[0].ids[0];
    const std::size_t old = recording.storages[static_cast<std::size_t>(result)];
    for (auto id = static_cast<std::size_t>(result); id < recording.storages.size(); ++id)
      if (recording.storages[id] == old) recording.storages[id] = fresh;
    ++fresh;
  }
}

void refuse_input_writes(const Recording& recording) {
  const Graph& graph = recording.model.graph;
  const auto storage = [&](ValueId id) { return recording.storages[static_cast<std::size_t>(id)]; };
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    for (const auto written : written_values(graph.nodes[i]))
      for (const auto input : graph.inputs)
        if (storage(input) == storage(written))
          throw Error(Errc::Unsupported, message("cannot capture ", graph.nodes[i].op, " (", describe_place(graph, i),
                                                 "): it writes to the network's input in place; write to a copy"));
}

/// Where memory is written in place, whoever reads it later under an older name gets a new name for it, an alias: one
/// value, one content.
void rename_after_writes(Recording& recording) {
  Graph& graph = recording.model.graph;
  const auto storage = [&](ValueId id) { return recording.storages[static_cast<std::size_t>(id)]; };
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    std::set<std::size_t> written;
    for (const auto id : written_values(graph.nodes[i])) written.insert(storage(id));
    if (written.empty()) continue;
    Graph later{.values = {},
                .nodes = {graph.nodes.begin() + static_cast<std::ptrdiff_t>(i) + 1, graph.nodes.end()},
                .inputs = {},
                .outputs = graph.outputs};
    std::set<ValueId> fresh;  // made by the writing node or after it
    std::set<ValueId> old;
    const auto read = [&](ValueId id) {
      if (written.contains(storage(id)) && !fresh.contains(id)) old.insert(id);
    };
    const auto make = [&](const Node& node) {
      for (const auto& output : node.outputs) fresh.insert(output.ids.begin(), output.ids.end());
    };
    make(graph.nodes[i]);
    for (const auto& node : later.nodes) {
      const auto ids = read_values(node);
      std::for_each(ids.begin(), ids.end(), read);
      make(node);
    }
    std::for_each(later.outputs.begin(), later.outputs.end(), read);
    std::vector<Node> aliases;
    for (const auto id : old) {
      const auto renamed = static_cast<ValueId>(graph.values.size());
      graph.values.push_back(graph.values[static_cast<std::size_t>(id)]);
      recording.model.tensors.emplace_back();
      recording.storages.push_back(storage(id));
      aliases.push_back({"aten::alias", "", {ValueRef{id}}, {{false, {renamed}}}});
      replace_value(later, id, renamed);
    }
    graph.nodes.resize(i + 1);
    graph.nodes.insert(graph.nodes.end(), aliases.begin(), aliases.end());
    graph.nodes.insert(graph.nodes.end(), later.nodes.begin(), later.nodes.end());
    graph.outputs = later.outputs;
  }
}

/// What differs between two recordings: the second is at one more.
struct Axis {
  const char* name;  ///< "batch size", "length"
  const char* option;
  std::int64_t first;
  /// Makes `number`, seen at `first`, what gives it there and `next` at one more; whatever else it depends on shows in
  /// check_replay.
  void (*merge)(SymInt& number, const SymInt& next, std::int64_t first);
};

void merge_batch(SymInt& number, const SymInt& next, std::int64_t first) {
  number.batch = next.offset - number.offset;
  number.offset -= number.batch * first;
}

void merge_length(SymInt& number, const SymInt& next, std::int64_t first) {
  number.length = next.offset - number.offset;
  number.both = next.batch - number.batch;
  number.offset -= number.length * first;
  number.batch -= number.both * first;
}

/// Makes one graph of two recordings: numbers that differ become linear along the axis.
class Merger {
 public:
  Merger(Recording& first, const Recording& second, const Axis& axis)
      : a_(first.model), b_(second.model), axis_(axis) {}

  void merge() {
    const std::size_t nodes = std::min(a_.graph.nodes.size(), b_.graph.nodes.size());
    for (node_ = 0; node_ < nodes; ++node_) merge(a_.graph.nodes[node_], b_.graph.nodes[node_]);
    if (a_.graph.nodes.size() != b_.graph.nodes.size() || a_.graph.values.size() != b_.graph.values.size() ||
        a_.graph.outputs != b_.graph.outputs)
      refuse(message("the network runs different operators at another ", axis_.name));
    const std::vector<bool> live = live_values(a_.graph);
    for (std::size_t id = 0; id < a_.graph.values.size(); ++id)
      if (live[id]) merge_value(id);  // traced TorchScript computes sizes with tensors that no output reads
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    const bool inside = node_ < a_.graph.nodes.size();
    throw Error(
        Errc::Unsupported,
        message("cannot capture ", inside ? a_.graph.nodes[node_].op : std::string("the network"), " (",
                describe_place(a_.graph, node_), "): ", why, " (seen at a ", axis_.name, " of ", axis_.first, " and ",
                axis_.first + 1, "). Where the network runs at one ", axis_.name, " only, ", axis_.option));
  }

  void merge(SymInt& a, const SymInt& b) const { axis_.merge(a, b, axis_.first); }

  void merge(std::vector<SymInt>& a, const std::vector<SymInt>& b) const {
    if (a.size() != b.size()) refuse(message("a list of numbers changes its length with the ", axis_.name));
    for (std::size_t i = 0; i < a.size(); ++i) merge(a[i], b[i]);
  }

  void merge(Node& a, const Node& b) const {
    if (a.op != b.op || a.overload != b.overload || a.arguments.size() != b.arguments.size() ||
        a.outputs.size() != b.outputs.size())
      refuse(message("at another ", axis_.name, ' ', b.op, " runs in its place"));
    for (std::size_t i = 0; i < a.arguments.size(); ++i) {
      Argument& x = a.arguments[i];
      const Argument& y = b.arguments[i];
      if (x.index() != y.index()) refuse(message("an argument changes its type with the ", axis_.name));
      if (auto* number = std::get_if<SymInt>(&x))
        merge(*number, std::get<SymInt>(y));
      else if (auto* numbers = std::get_if<std::vector<SymInt>>(&x))
        merge(*numbers, std::get<std::vector<SymInt>>(y));
      else if (x != y)
        refuse(message("an argument depends on the ", axis_.name));
    }
    for (std::size_t i = 0; i < a.outputs.size(); ++i)
      if (a.outputs[i].ids != b.outputs[i].ids) refuse(message("the number of results depends on the ", axis_.name));
  }

  void merge_value(std::size_t id) {
    Value& a = a_.graph.values[id];
    const Value& b = b_.graph.values[id];
    node_ = a_.graph.nodes.size();
    if (a.kind != b.kind || a.dtype != b.dtype) refuse(message("a value changes its kind with the ", axis_.name));
    merge(a.shape, b.shape);
    if (a.kind == ValueKind::Constant && !at::equal(a_.tensors[id], b_.tensors[id]))
      refuse(message("\"", a.name, "\", made outside the graph, depends on the ", axis_.name));
  }

  Model& a_;
  const Model& b_;
  const Axis& axis_;
  std::size_t node_ = 0;
};

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return false;
  return a.eq(b).logical_or_(a.ne(a).logical_and_(b.ne(b))).all().item<bool>();  // NaN equals NaN here
}

/// Inputs of the same form whose content differs in every sample: a ramp for numbers, the given values in reverse for
/// integers, which may be positions or classes.
std::vector<at::Tensor> other_content(const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> result;
  for (const auto& input : inputs)
    result.push_back(input.is_floating_point() ? at::linspace(-1, 1, input.numel(), input.options()).view(input.sizes())
                                               : input.flatten().flip(0).view(input.sizes()));
  return result;
}

/// The proof of a capture: at a size, and on content, that was not recorded the graph gives what the network gives.
void check_replay(const Model& model, const ForwardFn& forward, const std::vector<at::Tensor>& inputs) {
  const std::string where = message(" for inputs of shape ", internal::shapes(inputs));
  std::vector<at::Tensor> copies;
  for (const auto& input : inputs) copies.push_back(input.clone());
  std::vector<at::Tensor> expected;
  std::vector<at::Tensor> actual;
  try {
    expected = forward(copies);
    actual = Interpreter(model).run(inputs);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(Errc::Unsupported,
                message("the captured graph does not run", where,
                        ": numbers in it may depend on the sizes of the inputs in a way that is not linear. "
                        "LibTorch says: ",
                        internal::without_backtrace(error)));
  }
  bool same = expected.size() == actual.size();
  for (std::size_t i = 0; same && i < expected.size(); ++i) same = same_bits(expected[i], actual[i]);
  if (!same)
    throw Error(Errc::Unsupported,
                message("the captured graph does not reproduce the network", where,
                        ": the network does something that its operators do not show, such as "
                        "arithmetic on tensor content outside LibTorch, keeps state between calls, or "
                        "treats some batch sizes differently"));
}

void check_inputs(const std::vector<at::Tensor>& inputs) {
  if (inputs.empty()) throw Error(Errc::InvalidArgument, "capture needs at least one example input");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) throw Error(Errc::InvalidArgument, message("example input ", i, " is undefined"));
    if (inputs[i].dim() == 0 || inputs[i].size(0) == 0)
      throw Error(Errc::InvalidArgument, message("example input ", i, " has shape ", inputs[i].sizes(),
                                                 ": its first dimension must be the batch, at least 1"));
  }
}

/// L of the example inputs; 0 where none is asked for.
std::int64_t captured_length(const std::vector<at::Tensor>& inputs, const CaptureOptions& options) {
  if (!options.length_dimension) return 0;
  const std::int64_t dimension = *options.length_dimension;
  std::int64_t length = 0;
  for (const at::Tensor& input : inputs) {
    if (dimension < 1 || dimension >= input.dim()) continue;
    if (length != 0 && input.size(dimension) != length)
      throw Error(Errc::InvalidArgument,
                  message("length_dimension is ", dimension, ", and example inputs are of shapes ",
                          internal::shapes(inputs), ": they must be equally long along it"));
    length = input.size(dimension);
  }
  if (length < 3)
    throw Error(Errc::InvalidArgument,
                message("length_dimension is ", dimension, ", and example inputs are of shapes ",
                        internal::shapes(inputs), ": dimension 1 or a later one, at least 3 long, is needed"));
  return length;
}

}  // namespace

Model capture(const ForwardFn& forward, const std::vector<NamedTensor>& parameters,
              const std::vector<at::Tensor>& inputs, const CaptureOptions& options) {
  check_inputs(inputs);
  const internal::OpenMpThreads one_thread(1);  // on a busy machine several wait for each other, many times as long
  const RequireGrad require_grad(parameters);
  const at::AutoGradMode grad_mode(true);
  // Always copies: a network that works in place must not write to the caller's tensors.
  const auto sized = [&](std::int64_t batch, std::int64_t length) {
    return copy_inputs(inputs, {.batch = options.dynamic_batch ? std::optional(batch) : std::nullopt, .length = length},
                       options);
  };
  const auto at_length = [&](std::int64_t length) {
    Recording first = record(forward, parameters, sized(kFirstBatch, length), options);
    if (!options.dynamic_batch) return first;
    constexpr Axis kBatch{"batch size", "set CaptureOptions::dynamic_batch to false", kFirstBatch, merge_batch};
    const Recording second = record(forward, parameters, sized(kFirstBatch + 1, length), options);
    Merger(first, second, kBatch).merge();
    return first;
  };
  const std::int64_t length = captured_length(inputs, options);
  Recording recording = at_length(length > 0 ? length - 1 : 0);
  if (length > 0) {
    const Axis axis{"length", "leave out CaptureOptions::length_dimension", length - 1, merge_length};
    Merger(recording, at_length(length), axis).merge();
    recording.model.graph.length = length;
  }
  make_functional(recording);
  refuse_input_writes(recording);
  rename_after_writes(recording);
  Model model = eliminate_dead_code(std::move(recording.model));
  check_replay(model, forward, other_content(sized(kCheckBatch, std::max<std::int64_t>(1, length / 2))));
  if (options.dynamic_batch) check_replay(model, forward, other_content(sized(1, length)));
  return model;
}

}  // namespace halftone
