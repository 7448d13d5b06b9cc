#include "engine/libtorch/operator_call.hpp"

#include <ATen/ATen.h>

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

c10::OperatorHandle find_operator(const std::string& op, const std::string& overload) {
  if (auto found = c10::Dispatcher::singleton().findSchema({op, overload})) return *found;
  throw Error(Errc::Unsupported, message("this LibTorch has no operator ", op, overload.empty() ? "" : ".", overload,
                                         ": link 2.13, or take the engine \"openvino\""));
}

at::Tensor converted(at::Tensor tensor, std::optional<at::ScalarType> type) {
  if (!type || !tensor.defined() || !tensor.is_floating_point() || tensor.scalar_type() == *type) return tensor;
  return tensor.to(*type);
}

}  // namespace

OperatorCall::OperatorCall(const std::string& op, const std::string& overload, std::size_t arguments)
    : op_(find_operator(op, overload)), arguments_(arguments) {
  const std::size_t wanted = op_.schema().arguments().size();
  if (wanted != arguments)
    throw Error(Errc::Unsupported, message("operator ", op, " takes ", wanted, " arguments in this LibTorch, not ",
                                           arguments, ": link 2.13, or take the engine \"openvino\""));
}

OperatorCall::OperatorCall(const std::string& op, const std::string& overload, torch::jit::Stack arguments)
    : OperatorCall(op, overload, arguments.size()) {
  arguments_ = std::move(arguments);
}

void OperatorCall::compute_in(at::ScalarType type) {
  compute_in_ = type;
  for (auto& argument : arguments_)
    if (argument.isTensor()) argument = operand(argument.toTensor());
}

void OperatorCall::read_list(std::size_t index, std::vector<Item> items) {
  const auto type = op_.schema().arguments()[index].type()->cast<c10::ListType>();
  const bool optional = type && type->getElementType()->kind() == c10::TypeKind::OptionalType;
  lists_.push_back({index, optional, std::move(items)});
}

at::Tensor OperatorCall::operand(at::Tensor tensor) const { return converted(std::move(tensor), compute_in_); }

c10::IValue OperatorCall::list(const List& list, const Frame& frame) const {
  const auto tensor = [&](const Item& item) {
    return operand(item.id ? frame[static_cast<std::size_t>(*item.id)] : item.constant);
  };
  if (!list.optional) {
    c10::List<at::Tensor> tensors;
    for (const Item& item : list.items) tensors.push_back(tensor(item));
    return tensors;
  }
  c10::List<std::optional<at::Tensor>> tensors;
  for (const Item& item : list.items) {
    at::Tensor found = tensor(item);
    tensors.push_back(found.defined() ? std::optional(std::move(found)) : std::nullopt);
  }
  return tensors;
}

void OperatorCall::operator()(Frame& frame) const {
  torch::jit::Stack stack;
  stack.reserve(arguments_.size());
  stack = arguments_;
  for (const auto& [index, id] : tensors_) stack[index] = operand(frame[static_cast<std::size_t>(id)]);
  for (const List& entry : lists_) stack[entry.index] = list(entry, frame);
  op_.callBoxed(stack);
  store(frame, stack);
}

void OperatorCall::store(Frame& frame, torch::jit::Stack& stack) const {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const Output& output = outputs_[i];
    if (output.is_list) {
      const auto tensors = stack[i].toTensorVector();
      for (std::size_t k = 0; k < output.ids.size(); ++k)
        frame[static_cast<std::size_t>(output.ids[k])] = converted(tensors.at(k), give_);
    } else if (!output.ids.empty()) {
      frame[static_cast<std::size_t>(output.ids[0])] = converted(std::move(stack[i]).toTensor(), give_);
    }
  }
}

}  // namespace halftone::internal
