#include "graph/recorder.hpp"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <array>
#include <exception>

#include "core/scalar_type.hpp"

namespace halftone::internal {

namespace {

// Callbacks are plain functions: this is how they find the recorder of their thread.
thread_local Recorder* current = nullptr;

template <class Elements>
auto last(c10::ArrayRef<c10::IValue> values, const Elements& elements) {
  // TorchScript hands over its whole stack; the operator's own values are the last ones.
  return values.slice(values.size() - std::min(values.size(), elements.size()));
}

/// Operators that answer questions about a tensor's form, not its content.
bool is_metadata_query(const std::string& op) {
  static constexpr std::array kQueries{"aten::size",
                                       "aten::sym_size",
                                       "aten::stride",
                                       "aten::sym_stride",
                                       "aten::numel",
                                       "aten::sym_numel",
                                       "aten::dim",
                                       "aten::result_type",
                                       "aten::is_floating_point",
                                       "aten::is_complex",
                                       "aten::is_same_size",
                                       "aten::is_contiguous",
                                       "aten::storage_offset",
                                       "aten::sym_storage_offset"};
  return std::find(kQueries.begin(), kQueries.end(), op) != kQueries.end();
}

std::optional<c10::IValue> argument(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> inputs,
                                    const char* name) {
  const auto index = schema.argumentIndexWithName(name);
  if (!index || static_cast<std::size_t>(*index) >= inputs.size()) return std::nullopt;
  return inputs[static_cast<std::size_t>(*index)];
}

bool is_true(const std::optional<c10::IValue>& value) { return value && value->isBool() && value->toBool(); }

/// Whether an operator tagged as random draws nothing with these arguments, such as dropout in evaluation mode.
bool draws_nothing(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> inputs) {
  for (const char* name : {"train", "training"})
    if (const auto flag = argument(schema, inputs, name); flag && flag->isBool() && !flag->toBool()) return true;
  for (const char* name : {"dropout_p", "p"})
    if (const auto p = argument(schema, inputs, name); p && p->isDouble() && p->toDouble() == 0) return true;
  return false;
}

}  // namespace

std::string without_backtrace(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  std::string text = torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  while (text.ends_with('\n')) text.pop_back();
  // TorchScript puts twenty lines of its own calls before the one that says what is wrong.
  return text.find("TorchScript") == text.npos ? text : text.substr(text.rfind('\n') + 1);
}

std::string shapes(const std::vector<at::Tensor>& tensors) {
  std::string text;
  for (const at::Tensor& tensor : tensors) text += message(text.empty() ? "" : ", ", tensor.sizes());
  return text;
}

Recorder::Recorder(const std::vector<NamedTensor>& parameters, const std::vector<at::Tensor>& inputs,
                   const CaptureOptions& options)
    : options_(options) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string name = i < options.input_names.size() ? options.input_names[i]
                             : inputs.size() == 1           ? std::string("input")
                                                            : message("input", i);
    const ValueId id = add_value(ValueKind::Input, name, inputs[i]);
    from_input_.back() = true;
    model_.graph.inputs.push_back(id);
  }
  for (const auto& [name, tensor, is_buffer] : parameters)
    if (tensor.defined() && !by_impl_.contains(tensor.unsafeGetTensorImpl()))
      model_.tensors[static_cast<std::size_t>(add_value(ValueKind::Parameter, name, tensor))] = tensor;
}

std::vector<at::Tensor> Recorder::record(const ForwardFn& forward, const std::vector<at::Tensor>& inputs) {
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(&on_start, &on_end)
                                                     .needsInputs(true)
                                                     .needsOutputs(true)
                                                     .scopes({at::RecordScope::FUNCTION}));
  struct Guard {
    at::CallbackHandle handle;
    ~Guard() {
      at::removeCallback(handle);
      current = nullptr;
    }
  };
  std::vector<at::Tensor> outputs;
  {
    const Guard guard{handle};
    current = this;
    try {
      outputs = forward(inputs);
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      if (error_.empty())
        throw Error(
            Errc::Unsupported,
            message("the model's forward pass failed (", describe_place(model_.graph, model_.graph.nodes.size()),
                    ") for inputs of shape ", shapes(inputs), ": ", without_backtrace(error),
                    ". Does it take other shapes? The first dimension is the batch; --input 3,32,32 gives those "
                    "behind it"));
    }
  }
  if (!error_.empty()) throw Error(Errc::Unsupported, error_);
  if (outputs.empty()) throw Error(Errc::Unsupported, "the model returns no tensor: nothing to capture");
  for (const auto& output : outputs) model_.graph.outputs.push_back(find_or_make_constant(output));
  return outputs;
}

std::unique_ptr<at::ObserverContext> Recorder::on_start(const at::RecordFunction& function) {
  if (current != nullptr && function.operator_name() && current->depth_++ == 0) current->begin(function);
  return nullptr;
}

void Recorder::on_end(const at::RecordFunction& function, at::ObserverContext* /*context*/) {
  if (current != nullptr && function.operator_name() && --current->depth_ == 0) current->end(function);
}

void Recorder::refuse(const std::string& op, const std::string& why) {
  if (error_.empty())
    error_ = message("cannot capture ", op, " (", describe_place(model_.graph, model_.graph.nodes.size()), "): ", why);
}

void Recorder::begin(const at::RecordFunction& function) {
  skip_ = !error_.empty();
  if (skip_) return;
  try {
    const auto name = function.operator_name().value();
    node_ = Node{name.name, name.overload_name, {}, {}};
    const auto op = c10::Dispatcher::singleton().findSchema(name);
    if (!op) return refuse(name.name, "the operator has no schema");
    const auto inputs = last(function.inputs(), op->schema().arguments());
    reads_input_ = false;
    for (const auto& value : inputs) node_.arguments.push_back(to_argument(value, name.name));
    for (const auto id : read_values(node_)) reads_input_ = reads_input_ || from_input_[static_cast<std::size_t>(id)];
    check_operator(*op, inputs);
  } catch (const std::exception& error) {
    refuse(node_.op, without_backtrace(error));
  }
}

void Recorder::check_operator(const c10::OperatorHandle& op, c10::ArrayRef<c10::IValue> inputs) {
  const auto& schema = op.schema();
  const std::string& name = schema.name();
  const auto& allowed = options_.namespaces;
  if (std::find(allowed.begin(), allowed.end(), name.substr(0, name.find("::"))) == allowed.end())
    return refuse(name, message("the operator is unknown to Halftone, which knows LibTorch's own (aten::…). Where its "
                                "results depend on nothing but its arguments, name its namespace in "
                                "CaptureOptions::namespaces"));
  const auto& returns = schema.returns();
  const bool returns_tensor = std::any_of(returns.begin(), returns.end(), [](const c10::Argument& value) {
    const auto list = value.type()->cast<c10::ListType>();
    return (list ? list->getElementType() : value.type())->kind() == c10::TypeKind::TensorType;
  });
  check_writes(schema);
  if (!returns_tensor) {
    skip_ = true;
    if (!node_.written.empty())
      return refuse(name,
                    "it writes to tensors and returns none, which a graph cannot hold: use a form that returns its "
                    "result");
    // nn::MultiheadAttention asks whether query, key and value are equal: one value is equal to itself.
    if (name == "aten::equal" && node_.arguments[0] == node_.arguments[1]) return;
    if (reads_input_ && !is_metadata_query(name))
      refuse(name,
             "it turns the content of a tensor into a plain number, so what follows (control flow, sizes) depends "
             "on the data. Halftone runs straight graphs only: rewrite this part with tensor operators such as "
             "torch::where");
    return;
  }
  if (reads_input_ && op.hasTag(at::Tag::dynamic_output_shape) && !indexes_by_number(node_))
    return refuse(name, "the shape of its result depends on the data, not only on input shapes");
  for (const char* flag : {"training", "train"})
    if (is_true(argument(schema, inputs, flag)))
      return refuse(name,
                    "it runs in training mode: call eval() on the network before capture (a batch norm without "
                    "running statistics always does this and cannot be captured)");
  if (op.hasTag(at::Tag::nondeterministic_seeded) && !draws_nothing(schema, inputs))
    return refuse(name,
                  "it draws random numbers, so no two runs agree: put the network in evaluation mode or make the "
                  "numbers an input");
}

void Recorder::check_writes(const c10::FunctionSchema& schema) {
  for (std::size_t i = 0; i < node_.arguments.size(); ++i) {
    const auto* alias = schema.arguments()[i].alias_info();
    if (alias != nullptr && alias->isWrite()) node_.written.push_back(i);
  }
  for (const auto written : written_values(node_))
    for (std::size_t id = 0; id < storages_.size(); ++id) {
      if (storages_[id] != storages_[static_cast<std::size_t>(written)]) continue;
      if (reads_input_) from_input_[id] = true;
      const Value& value = model_.graph.values[id];
      if (value.kind == ValueKind::Parameter || value.kind == ValueKind::Constant)
        return refuse(schema.name(), message("it writes to \"", value.name,
                                             "\" in place, so every run would change the network: put the network in "
                                             "evaluation mode or write to a copy"));
    }
}

void Recorder::end(const at::RecordFunction& function) {
  if (skip_ || !error_.empty() || std::uncaught_exceptions() > 0) return;  // a failing operator returns nothing
  try {
    const auto op = c10::Dispatcher::singleton().findSchema(*function.operator_name());
    for (const auto& value : last(c10::ArrayRef<c10::IValue>(function.outputs()), op->schema().returns())) {
      Output output;
      if (value.isTensor()) {
        if (value.toTensor().defined()) output.ids.push_back(add_result(value.toTensor()));
      } else if (value.isTensorList()) {
        output.is_list = true;
        for (const auto& tensor : value.toTensorVector()) output.ids.push_back(add_result(tensor));
      }
      node_.outputs.push_back(std::move(output));
    }
    if (node_.outputs.size() != op->schema().returns().size())
      return refuse(node_.op, "the operator did not say what it returned");
    model_.graph.nodes.push_back(std::move(node_));
  } catch (const std::exception& error) {
    refuse(node_.op, without_backtrace(error));
  }
}

Argument Recorder::to_argument(const c10::IValue& value, const std::string& op) {
  const auto ref = [this](const at::Tensor& tensor) -> std::optional<ValueId> {
    return tensor.defined() ? std::optional(find_or_make_constant(tensor)) : std::nullopt;
  };
  if (value.isNone()) return None{};
  if (value.isTensor()) {
    const auto id = ref(value.toTensor());
    return id ? Argument(ValueRef{*id}) : Argument(None{});
  }
  if (value.isTensorList() || value.isOptionalTensorList() ||
      (value.isList() && !value.toListRef().empty() &&
       (value.toListRef()[0].isTensor() || value.toListRef()[0].isNone()))) {
    std::vector<std::optional<ValueId>> ids;
    for (const c10::IValue& element : value.toListRef())
      ids.push_back(element.isTensor() ? ref(element.toTensor()) : std::nullopt);
    return ids;
  }
  if (value.isBool()) return value.toBool();
  if (value.isInt()) return SymInt{value.toInt()};
  if (value.isSymInt()) return SymInt{value.toSymInt().guard_int(__FILE__, __LINE__)};
  if (value.isDouble()) return value.toDouble();
  if (value.isString()) return value.toStringRef();
  if (value.isDevice()) return ModelDevice{};
  if (value.isBoolList()) {
    const auto flags = value.toBoolList();
    return std::vector<bool>(flags.begin(), flags.end());
  }
  if (value.isDoubleList()) return value.toDoubleVector();
  if (value.isIntList() || value.isSymIntList() || value.isList()) {
    std::vector<SymInt> numbers;
    for (const c10::IValue& element : value.toList()) numbers.push_back({element.toInt()});
    return numbers;
  }
  throw Error(Errc::Unsupported,
              message("operator ", op, " takes an argument of type ", value.tagKind(), ", which a graph cannot hold"));
}

bool Recorder::indexes_by_number(const Node& node) const {
  if (node.op != "aten::index" && node.op != "aten::index_put" && node.op != "aten::index_put_") return false;
  const auto* indices = std::get_if<std::vector<std::optional<ValueId>>>(&node.arguments[1]);
  return indices != nullptr && std::none_of(indices->begin(), indices->end(), [&](std::optional<ValueId> id) {
           const DType dtype = id ? model_.graph.values[static_cast<std::size_t>(*id)].dtype : DType::Int64;
           return dtype == DType::Bool || dtype == DType::UInt8;
         });
}

ValueId Recorder::add_value(ValueKind kind, std::string name, const at::Tensor& tensor) {
  const auto dtype = to_dtype(tensor.scalar_type());
  if (!dtype)
    throw Error(Errc::Unsupported, message("a tensor has element type ", at::toString(tensor.scalar_type()),
                                           ", which Halftone does not know"));
  if (tensor.layout() != at::kStrided)
    throw Error(Errc::Unsupported, message("a tensor has layout ", tensor.layout(), ": only dense tensors are known"));
  Shape shape;
  for (const auto size : tensor.sizes()) shape.push_back({size});
  const auto id = static_cast<ValueId>(model_.graph.values.size());
  model_.graph.values.push_back({kind, std::move(name), std::move(shape), *dtype});
  model_.tensors.emplace_back();
  storages_.push_back(tensor.storage().unsafeGetStorageImpl());
  from_input_.push_back(false);
  identify(tensor, id);
  return id;
}

void Recorder::identify(const at::Tensor& tensor, ValueId id) {
  alive_.push_back(tensor);
  by_impl_[tensor.unsafeGetTensorImpl()] = id;
  by_key_[{tensor.storage().unsafeGetStorageImpl(), tensor.storage_offset(), tensor.sizes().vec(),
           tensor.strides().vec(), static_cast<int>(tensor.scalar_type())}] = id;
}

ValueId Recorder::find_or_make_constant(const at::Tensor& tensor) {
  if (const auto found = by_impl_.find(tensor.unsafeGetTensorImpl()); found != by_impl_.end()) return found->second;
  if (tensor.layout() == at::kStrided) {
    // Some operators hand out a new wrapper of a tensor that is known.
    const auto found =
        by_key_.find({tensor.storage().unsafeGetStorageImpl(), tensor.storage_offset(), tensor.sizes().vec(),
                      tensor.strides().vec(), static_cast<int>(tensor.scalar_type())});
    if (found != by_key_.end()) return found->second;
  }
  const ValueId id = add_value(ValueKind::Constant, message("constant_", model_.graph.values.size()), tensor);
  model_.tensors[static_cast<std::size_t>(id)] = tensor.detach();
  return id;
}

ValueId Recorder::add_result(const at::Tensor& tensor) {
  const ValueId id = add_value(ValueKind::Computed, {}, tensor);
  from_input_[static_cast<std::size_t>(id)] = reads_input_;
  return id;
}

}  // namespace halftone::internal
