#include "engine/libtorch/target.hpp"

#include <ATen/ATen.h>

namespace halftone::internal {
namespace {

template <class Items>
auto to_list(const Items& items) {
  c10::List<typename Items::value_type> list;
  for (const auto& item : items) list.push_back(item);
  return list;
}

/// Fills argument `index` of a call.
class ArgumentFiller {
 public:
  ArgumentFiller(OperatorCall& call, std::size_t index, const Target& target,
                 const std::vector<std::pair<ValueId, ValueId>>& renamed)
      : call_(call), index_(index), target_(target), renamed_(renamed) {}

  void operator()(None) const {
    const bool tensor = call_.argument(index_).type()->kind() == c10::TypeKind::TensorType;
    call_.set(index_, tensor ? c10::IValue(at::Tensor()) : c10::IValue());
  }
  void operator()(ValueRef ref) const {
    if (in_frame(ref.id))
      call_.read(index_, name(ref.id));
    else
      call_.set(index_, target_.tensor(ref.id));
  }
  void operator()(const std::vector<std::optional<ValueId>>& ids) const {
    std::vector<OperatorCall::Item> items;
    for (const auto id : ids)
      items.push_back(!id             ? OperatorCall::Item{}
                      : in_frame(*id) ? OperatorCall::Item{name(*id)}
                                      : OperatorCall::Item{{}, target_.tensor(*id)});
    call_.read_list(index_, std::move(items));
  }
  void operator()(SymInt number) const { call_.set(index_, number.at({target_.batch})); }
  void operator()(const std::vector<SymInt>& numbers) const { call_.set(index_, to_list(target_.sizes(numbers))); }
  void operator()(double number) const { call_.set(index_, number); }
  void operator()(const std::vector<double>& numbers) const { call_.set(index_, to_list(numbers)); }
  void operator()(bool flag) const { call_.set(index_, flag); }
  void operator()(const std::vector<bool>& flags) const { call_.set(index_, to_list(flags)); }
  void operator()(const std::string& string) const { call_.set(index_, string); }
  void operator()(ModelDevice) const { call_.set(index_, at::Device(at::kCPU)); }

 private:
  /// Not so a parameter or constant, but for its uint8 copy.
  [[nodiscard]] bool in_frame(ValueId id) const { return !target_.value(id).is_data() || name(id) != id; }
  [[nodiscard]] ValueId name(ValueId id) const {
    for (const auto& [from, to] : renamed_)
      if (from == id) return to;
    return id;
  }

  OperatorCall& call_;
  std::size_t index_;
  const Target& target_;
  const std::vector<std::pair<ValueId, ValueId>>& renamed_;
};

constexpr const char* kBytePooling = "quantized::max_pool2d";

/// The operator to call for `node`. Tensors lie in memory in another order here than where the network was captured,
/// so that a view may have to copy. The usual max pooling refuses bytes, channels last, of more than 127 pixels.
std::string operator_of(const Node& node, bool of_bytes) {
  if (of_bytes && node.op == "aten::max_pool2d") return kBytePooling;
  return node.op == "aten::view" && node.overload.empty() ? "aten::reshape" : node.op;
}

}  // namespace

at::Tensor Target::tensor(ValueId id) const {
  const at::Tensor data = model.tensors[static_cast<std::size_t>(id)].detach().to(at::kCPU);
  return data.is_floating_point() ? data.to(type) : data;
}

OperatorCall call_of(const Target& target, const Node& node, const std::vector<std::pair<ValueId, ValueId>>& renamed) {
  const std::string op = operator_of(node, !renamed.empty());
  std::vector<Argument> arguments = node.arguments;
  if (op == kBytePooling)  // takes no single number for height and width
    for (Argument& argument : arguments)
      if (auto* sizes = std::get_if<std::vector<SymInt>>(&argument); sizes != nullptr && sizes->size() == 1)
        sizes->push_back(sizes->front());
  OperatorCall call(op, node.overload, arguments.size());
  for (std::size_t i = 0; i < arguments.size(); ++i) std::visit(ArgumentFiller(call, i, target, renamed), arguments[i]);
  std::vector<Output> outputs = node.outputs;
  for (Output& output : outputs)
    for (ValueId& id : output.ids)
      for (const auto& [from, to] : renamed)
        if (from == id) {
          id = to;
          break;
        }
  call.write(std::move(outputs));
  return call;
}

}  // namespace halftone::internal
