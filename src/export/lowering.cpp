#include "export/lowering.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/scalar_type.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

std::vector<std::int64_t> sizes_of(const at::Tensor& tensor) { return tensor.sizes().vec(); }

/// `wanted`, or the first of wanted_2, wanted_3 … that is not among `taken`, where it then is.
OnnxName take(std::set<OnnxName>& taken, const std::string& wanted) {
  OnnxName name = wanted;
  for (int i = 2; !taken.insert(name).second; ++i) name = message(wanted, '_', i);
  return name;
}

std::set<OnnxName> output_names(const Graph& graph) {
  std::set<OnnxName> names;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) names.insert(onnx_output_name(graph, i));
  return names;
}

}  // namespace

OnnxType to_onnx_type(DType dtype) {
  switch (dtype) {
    case DType::Bool:
      return OnnxType::Bool;
    case DType::UInt8:
      return OnnxType::UInt8;
    case DType::Int8:
      return OnnxType::Int8;
    case DType::Int16:
      return OnnxType::Int16;
    case DType::Int32:
      return OnnxType::Int32;
    case DType::Int64:
      return OnnxType::Int64;
    case DType::Float16:
      return OnnxType::Float16;
    case DType::BFloat16:
      return OnnxType::BFloat16;
    case DType::Float32:
      return OnnxType::Float32;
    case DType::Float64:
      return OnnxType::Float64;
  }
  return OnnxType::Float32;
}

OnnxName onnx_output_name(const Graph& graph, std::size_t index) {
  return graph.outputs.size() == 1 ? "output" : message("output", index);
}

std::vector<OnnxName> onnx_input_names(const Graph& graph) {
  std::set<OnnxName> taken = output_names(graph);
  std::vector<OnnxName> names;
  for (const ValueId id : graph.inputs) names.push_back(take(taken, graph.values[static_cast<std::size_t>(id)].name));
  return names;
}

std::vector<std::int64_t> last_two_exchanged(std::int64_t rank) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  if (order.size() > 1) std::swap(order[order.size() - 1], order[order.size() - 2]);
  return order;
}

Lowering::Lowering(const Model& model, OnnxGraph& onnx, std::optional<std::int64_t> batch)
    : model_(model), onnx_(onnx), batch_(batch), taken_(output_names(model.graph)) {}

void Lowering::begin(std::size_t node, const std::string& name) {
  index_ = node;
  name_ = fresh(name);
}

OnnxName Lowering::fresh(const std::string& wanted) { return take(taken_, wanted); }

void Lowering::refuse(const std::string& why) const {
  throw Error(Errc::Unsupported,
              message("ONNX export: ", node().op, " (", describe_place(model_.graph, index_), "): ", why));
}

// --- arguments ------------------------------------------------------------------------------------------------------

const Argument& Lowering::argument(std::size_t index) const {
  if (index >= node().arguments.size()) refuse(message("argument ", index, " is missing"));
  return node().arguments[index];
}

bool Lowering::has(std::size_t index) const {
  return index < node().arguments.size() && !std::holds_alternative<None>(node().arguments[index]);
}

ValueId Lowering::id(std::size_t index) const {
  const auto* ref = std::get_if<ValueRef>(&argument(index));
  if (ref == nullptr) refuse(message("argument ", index, " is no tensor, and one is needed"));
  return ref->id;
}

ValueId Lowering::output_id(std::size_t index) const {
  const auto& outputs = node().outputs;
  if (index >= outputs.size() || outputs[index].ids.empty()) refuse("it has no output");
  return outputs[index].ids[0];
}

double Lowering::number(std::size_t index) const {
  if (const auto* number = std::get_if<double>(&argument(index))) return *number;
  if (const auto* flag = std::get_if<bool>(&argument(index))) return *flag ? 1 : 0;
  if (std::holds_alternative<ValueRef>(argument(index)))
    refuse(message("argument ", index, " is a tensor, and has an ONNX form here as a number alone"));
  return static_cast<double>(integer(index));
}

std::int64_t Lowering::integer(std::size_t index) const {
  const auto* number = std::get_if<SymInt>(&argument(index));
  if (number == nullptr) refuse(message("argument ", index, " is no integer, and one is needed"));
  return size(*number);
}

std::vector<std::int64_t> Lowering::integers(std::size_t index) const {
  const auto* list = std::get_if<std::vector<SymInt>>(&argument(index));
  if (list == nullptr) refuse(message("argument ", index, " is no list of integers, and one is needed"));
  std::vector<std::int64_t> numbers;
  for (const auto& entry : *list) numbers.push_back(size(entry));
  return numbers;
}

bool Lowering::flag(std::size_t index) const {
  const auto* flag = std::get_if<bool>(&argument(index));
  if (flag == nullptr) refuse(message("argument ", index, " is no truth value, and one is needed"));
  return *flag;
}

const std::string& Lowering::text(std::size_t index) const {
  const auto* text = std::get_if<std::string>(&argument(index));
  if (text == nullptr) refuse(message("argument ", index, " is no text, and one is needed"));
  return *text;
}

std::int64_t Lowering::axis(std::size_t index, std::int64_t rank) const {
  const std::int64_t axis = integer(index);
  return axis < 0 ? axis + rank : axis;
}

std::int64_t Lowering::size(const SymInt& number) const {
  if (number.is_fixed()) return number.offset;
  if (!batch_) refuse("it depends on the batch size in a way that ONNX cannot say: export with a fixed batch");
  return number.at({*batch_});
}

std::vector<std::int64_t> Lowering::reshape_target(const Shape& from, const Shape& to) const {
  std::vector<std::int64_t> target;
  const auto open = [&](const SymInt& size) { return !size.is_fixed() && !batch_; };
  const auto count = std::count_if(to.begin(), to.end(), open);
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (!open(to[i]))
      target.push_back(size(to[i]));
    else if (count == 1)
      target.push_back(-1);
    else
      target.push_back(i < from.size() && from[i] == to[i] ? 0 : size(to[i]));
  }
  return target;
}

// --- values ---------------------------------------------------------------------------------------------------------

OnnxName Lowering::in(ValueId id) {
  if (const auto known = names_.find(id); known != names_.end()) return known->second;
  const Value& found = value(id);
  if (!found.is_data())
    throw Error(Errc::Internal, message("ONNX export: a value of ", describe_place(model_.graph, index_),
                                        " is read before it is made"));
  const at::Tensor data = tensor(id).detach().to(at::kCPU).contiguous();
  return names_[id] = initializer(found.name.empty() ? "constant" : found.name, to_onnx_type(found.dtype),
                                  sizes_of(data), bytes_of(data));
}

OnnxName Lowering::operand(std::size_t index, DType dtype) {
  if (!std::holds_alternative<ValueRef>(argument(index))) return scalar(number(index), dtype);
  return in_as(id(index), dtype);
}

OnnxName Lowering::in_as(ValueId id, DType dtype) {
  OnnxName name = in(id);
  return value(id).dtype == dtype ? name : cast(std::move(name), dtype);
}

OnnxName Lowering::initializer(const std::string& wanted, OnnxType type, const std::vector<std::int64_t>& shape,
                               std::span<const std::byte> bytes) {
  OnnxName name = fresh(wanted);
  onnx_.add_initializer(name, type, shape, bytes);
  return name;
}

OnnxName Lowering::constant(const at::Tensor& tensor) {
  const at::Tensor data = tensor.detach().to(at::kCPU).contiguous();
  const auto dtype = to_dtype(data.scalar_type());
  if (!dtype) refuse(message("it needs a constant of ", at::toString(data.scalar_type())));
  const auto bytes = bytes_of(data);
  const std::string content =
      message(info(*dtype).name, data.sizes()) + std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto [entry, is_new] = constants_.try_emplace(content);
  if (is_new) entry->second = initializer("constant", to_onnx_type(*dtype), sizes_of(data), bytes);
  return entry->second;
}

OnnxName Lowering::scalar(double number, DType dtype) {
  return constant(at::full({}, number, at::TensorOptions().dtype(to_scalar_type(dtype))));
}

OnnxName Lowering::ints(const std::vector<std::int64_t>& numbers) { return constant(at::tensor(numbers, at::kLong)); }

OnnxName Lowering::cast(OnnxName from, DType dtype) {
  return emit("Cast", {std::move(from)}, {{"to", static_cast<std::int64_t>(to_onnx_type(dtype))}});
}

// --- writing --------------------------------------------------------------------------------------------------------

OnnxName Lowering::emit(const std::string& op, std::vector<OnnxName> inputs, OnnxAttributes attributes) {
  OnnxName name = fresh(name_ + '/' + op);
  onnx_.add_node({op, name, std::move(inputs), {name}, std::move(attributes)});
  return name;
}

OnnxName Lowering::output_name(ValueId id, std::size_t index) {
  const auto& outputs = model_.graph.outputs;
  const auto found = std::find(outputs.begin(), outputs.end(), id);
  if (found != outputs.end()) return onnx_output_name(model_.graph, static_cast<std::size_t>(found - outputs.begin()));
  return index == 0 ? name_ : fresh(message(name_, ':', index));
}

void Lowering::finish(const std::string& op, std::vector<OnnxName> inputs, OnnxAttributes attributes) {
  std::vector<OnnxName> outputs;
  const auto& made = node().outputs;
  const std::vector<ValueId> ids = made.empty() ? std::vector<ValueId>{} : made[0].ids;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    outputs.push_back(output_name(ids[i], i));
    names_[ids[i]] = outputs.back();
  }
  onnx_.add_node({op, name_, std::move(inputs), outputs, std::move(attributes)});
}

void Lowering::finish_as(const OnnxName& name, std::size_t index) { names_[node().outputs.at(0).ids.at(index)] = name; }

std::vector<OnnxDim> Lowering::dims(const Shape& shape) const {
  std::vector<OnnxDim> dims;
  for (const SymInt& size : shape) {
    if (size.is_fixed() || batch_)
      dims.emplace_back(size.at({batch_.value_or(1)}));
    else
      dims.emplace_back(size == SymInt{0, 1} ? std::string("batch") : message(size.batch, "*batch+", size.offset));
  }
  return dims;
}

void Lowering::declare_inputs() {
  const auto names = onnx_input_names(model_.graph);
  taken_.insert(names.begin(), names.end());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const ValueId id = model_.graph.inputs[i];
    names_[id] = names[i];
    onnx_.add_input(names[i], to_onnx_type(value(id).dtype), dims(value(id).shape));
  }
}

void Lowering::declare_outputs() {
  const auto& outputs = model_.graph.outputs;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const OnnxName name = onnx_output_name(model_.graph, i);
    if (const OnnxName made = in(outputs[i]); made != name)  // an input, a weight, or one value given twice
      onnx_.add_node({"Identity", fresh(name + "/Identity"), {made}, {name}});
    onnx_.add_output(name, to_onnx_type(value(outputs[i]).dtype), dims(value(outputs[i]).shape));
  }
}

}  // namespace halftone::internal
