#include "core/scalar_type.hpp"
#include "export/lowering.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

/// The type that both operands of a comparison are converted to; the second one may be a number.
DType common_type(const Lowering& to) {
  const DType own = to.value(to.id(0)).dtype;
  const Argument& other = to.node().arguments.at(1);
  if (const auto* ref = std::get_if<ValueRef>(&other))
    return to_dtype(c10::promoteTypes(to_scalar_type(own), to_scalar_type(to.value(ref->id).dtype))).value_or(own);
  if (std::holds_alternative<double>(other) && !info(own).floating) return DType::Float32;
  return own == DType::Bool && !std::holds_alternative<bool>(other) ? DType::Int64 : own;
}

template <const char* op>
void compare(Lowering& to) {
  const DType dtype = common_type(to);
  to.finish(op, {to.operand(0, dtype), to.operand(1, dtype)});
}

void not_equal(Lowering& to) {
  const DType dtype = common_type(to);
  to.finish("Not", {to.emit("Equal", {to.operand(0, dtype), to.operand(1, dtype)})});
}

/// Operands of any type, taken as truth values.
template <const char* op>
void logical(Lowering& to) {
  to.finish(op, {to.operand(0, DType::Bool), to.operand(1, DType::Bool)});
}

void logical_not(Lowering& to) { to.finish("Not", {to.operand(0, DType::Bool)}); }

template <LowerFn lower>
void on_truth_values(Lowering& to) {
  if (to.output_dtype() != DType::Bool) to.refuse("on integers it has no ONNX form here");
  lower(to);
}

void where(Lowering& to) { to.finish("Where", {to.operand(0, DType::Bool), to.operand(1), to.operand(2)}); }

void masked_fill(Lowering& to) { to.finish("Where", {to.operand(1, DType::Bool), to.operand(2), to.operand(0)}); }

constexpr char kAnd[] = "And", kEqual[] = "Equal", kGreater[] = "Greater", kGreaterOrEqual[] = "GreaterOrEqual",
               kLess[] = "Less", kLessOrEqual[] = "LessOrEqual", kOr[] = "Or";

}  // namespace

void add_logic(LoweringTable& table) {
  table.insert({{"aten::logical_not", logical_not},
                {"aten::logical_and", logical<kAnd>},
                {"aten::logical_or", logical<kOr>},
                {"aten::bitwise_and", on_truth_values<logical<kAnd>>},
                {"aten::bitwise_or", on_truth_values<logical<kOr>>},
                {"aten::bitwise_not", on_truth_values<logical_not>},
                {"aten::eq", compare<kEqual>},
                {"aten::ne", not_equal},
                {"aten::gt", compare<kGreater>},
                {"aten::ge", compare<kGreaterOrEqual>},
                {"aten::lt", compare<kLess>},
                {"aten::le", compare<kLessOrEqual>},
                {"aten::where", where},
                {"aten::masked_fill", masked_fill}});
}

}  // namespace halftone::internal
