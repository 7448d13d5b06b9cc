#include <cmath>
#include <optional>

#include "export/lowering.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

template <const char* op>
void unary(Lowering& to) {
  to.finish(op, {to.operand(0)});
}

/// Whole numbers stay what they are.
template <const char* op>
void rounding(Lowering& to) {
  if (to.node().overload == "decimals" && to.integer(1) != 0) to.refuse("decimals have no ONNX form here");
  if (!info(to.output_dtype()).floating) return to.finish_as(to.arg(0));
  to.finish(op, {to.arg(0)});
}

/// ONNX has no arithmetic on truth values.
void require_numbers(const Lowering& to) {
  if (to.output_dtype() == DType::Bool) to.refuse("on truth values it has no ONNX form here: use logical operators");
}

/// Two operands that broadcast; either may be a number.
template <const char* op>
void binary(Lowering& to) {
  require_numbers(to);
  to.finish(op, {to.operand(0), to.operand(1)});
}

/// a + alpha b, a - alpha b; the reversed form is b - alpha a.
template <const char* op, bool reversed>
void scaled(Lowering& to) {
  require_numbers(to);
  OnnxName a = to.operand(0);
  OnnxName b = to.operand(1);
  if (reversed) std::swap(a, b);
  OnnxName& other = b;
  if (to.has(2) && to.number(2) != 1) other = to.emit("Mul", {other, to.scalar(to.number(2), to.output_dtype())});
  to.finish(op, {a, b});
}

/// a / b rounded down, or towards zero. LibTorch rounds down the exact quotient of two floats, and towards zero the
/// nearest one: 1 / 0.1 gives 9 and 10.
void divide_rounded(Lowering& to, bool down) {
  const DType dtype = to.output_dtype();
  const bool whole = !info(dtype).floating;
  const DType inner = whole || down ? DType::Float64 : dtype;
  const auto operand = [&](std::size_t argument) {
    const OnnxName x = to.operand(argument);
    return inner == dtype ? x : to.cast(x, inner);
  };
  OnnxName quotient = to.emit("Div", {operand(0), operand(1)});
  if (down)
    quotient = to.emit("Floor", {quotient});
  else
    quotient = to.emit("Mul", {to.emit("Sign", {quotient}), to.emit("Floor", {to.emit("Abs", {quotient})})});
  to.finish_as(inner != dtype ? to.cast(quotient, dtype) : quotient);
}

void divide(Lowering& to) {
  if (!to.has(2)) return to.finish("Div", {to.operand(0), to.operand(1)});
  const std::string& mode = to.text(2);
  if (mode != "floor" && mode != "trunc") to.refuse(message("rounding mode \"", mode, "\" has no ONNX form here"));
  divide_rounded(to, mode == "floor");
}

void floor_divide(Lowering& to) { divide_rounded(to, true); }

/// Limits of which either may be missing.
void clip(Lowering& to, std::optional<double> low, std::optional<double> high) {
  const DType dtype = to.output_dtype();
  to.finish("Clip",
            {to.operand(0), low ? to.scalar(*low, dtype) : OnnxName(), high ? to.scalar(*high, dtype) : OnnxName()});
}

std::optional<double> limit(const Lowering& to, std::size_t index) {
  if (to.node().overload == "Tensor") to.refuse("limits that are tensors have no ONNX form here: use maximum, minimum");
  return to.has(index) ? std::optional(to.number(index)) : std::nullopt;
}

void clamp(Lowering& to) { clip(to, limit(to, 1), limit(to, 2)); }
void clamp_min(Lowering& to) { clip(to, limit(to, 1), std::nullopt); }
void clamp_max(Lowering& to) { clip(to, std::nullopt, limit(to, 1)); }
void relu6(Lowering& to) { clip(to, 0, 6); }

void silu(Lowering& to) {
  const OnnxName x = to.arg(0);
  to.finish("Mul", {x, to.emit("Sigmoid", {x})});
}

void hardsigmoid(Lowering& to) { to.finish("HardSigmoid", {to.arg(0)}, {{"alpha", 1.0F / 6}, {"beta", 0.5F}}); }

void leaky_relu(Lowering& to) {
  to.finish("LeakyRelu", {to.arg(0)}, {{"alpha", static_cast<float>(to.has(1) ? to.number(1) : 0.01)}});
}

void elu(Lowering& to) {
  if (to.number(2) != 1 || to.number(3) != 1) to.refuse("scales other than 1 have no ONNX form here");
  to.finish("Elu", {to.arg(0)}, {{"alpha", static_cast<float>(to.number(1))}});
}

/// x / 2 (1 + erf(x / sqrt 2)), or its tanh form: x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
void gelu(Lowering& to) {
  const DType dtype = to.output_dtype();
  const OnnxName x = to.arg(0);
  OnnxName inner;
  if (to.text(1) == "tanh") {
    const OnnxName cube = to.emit("Mul", {to.emit("Mul", {x, x}), x});
    const OnnxName sum = to.emit("Add", {x, to.emit("Mul", {cube, to.scalar(0.044715, dtype)})});
    inner = to.emit("Tanh", {to.emit("Mul", {sum, to.scalar(std::sqrt(2 / std::acos(-1.0)), dtype)})});
  } else {
    inner = to.emit("Erf", {to.emit("Div", {x, to.scalar(std::sqrt(2.0), dtype)})});
  }
  const OnnxName product = to.emit("Mul", {x, to.emit("Add", {inner, to.scalar(1, dtype)})});
  to.finish("Mul", {product, to.scalar(0.5, dtype)});
}

void reciprocal_sqrt(Lowering& to) { to.finish("Reciprocal", {to.emit("Sqrt", {to.operand(0)})}); }

/// x.to(dtype) and its kin: the output's type says all.
void convert(Lowering& to) {
  const DType dtype = to.output_dtype();
  if (to.value(to.id(0)).dtype == dtype) return to.finish_as(to.arg(0));
  to.finish("Cast", {to.arg(0)}, {{"to", static_cast<std::int64_t>(to_onnx_type(dtype))}});
}

void same(Lowering& to) { to.finish_as(to.arg(0)); }

void prelu(Lowering& to) {
  const ValueId slope = to.id(1);
  OnnxName name = to.in(slope);
  if (to.value(slope).shape.size() == 1 && to.rank(to.id(0)) > 2) {
    std::vector<std::int64_t> shape(static_cast<std::size_t>(to.rank(to.id(0)) - 1), 1);
    shape[0] = to.value(slope).shape[0].offset;
    name = to.emit("Reshape", {name, to.ints(shape)});
  }
  to.finish("PRelu", {to.arg(0), name});
}

constexpr char kAbs[] = "Abs", kAdd[] = "Add", kCeil[] = "Ceil", kCos[] = "Cos", kErf[] = "Erf", kExp[] = "Exp",
               kFloor[] = "Floor", kHardSwish[] = "HardSwish", kLog[] = "Log", kMax[] = "Max", kMin[] = "Min",
               kMul[] = "Mul", kNeg[] = "Neg", kPow[] = "Pow", kReciprocal[] = "Reciprocal", kRelu[] = "Relu",
               kRound[] = "Round", kSelu[] = "Selu", kSigmoid[] = "Sigmoid", kSign[] = "Sign", kSin[] = "Sin",
               kSoftplus[] = "Softplus", kSqrt[] = "Sqrt", kSub[] = "Sub", kTanh[] = "Tanh";

void softplus(Lowering& to) {
  if (to.number(1) != 1) to.refuse("a beta other than 1 has no ONNX form here");
  if (to.number(2) != 20) to.refuse("a threshold other than 20 has no ONNX form here");
  to.finish(kSoftplus, {to.arg(0)});
}

void mish(Lowering& to) {
  const OnnxName x = to.arg(0);
  to.finish("Mul", {x, to.emit("Tanh", {to.emit("Softplus", {x})})});
}

void square(Lowering& to) { to.finish("Mul", {to.arg(0), to.arg(0)}); }

}  // namespace

void add_elementwise(LoweringTable& table) {
  table.insert({{"aten::abs", unary<kAbs>},
                {"aten::ceil", rounding<kCeil>},
                {"aten::cos", unary<kCos>},
                {"aten::erf", unary<kErf>},
                {"aten::exp", unary<kExp>},
                {"aten::floor", rounding<kFloor>},
                {"aten::hardswish", unary<kHardSwish>},
                {"aten::log", unary<kLog>},
                {"aten::mish", mish},
                {"aten::neg", unary<kNeg>},
                {"aten::reciprocal", unary<kReciprocal>},
                {"aten::relu", unary<kRelu>},
                {"aten::round", rounding<kRound>},
                {"aten::selu", unary<kSelu>},
                {"aten::sigmoid", unary<kSigmoid>},
                {"aten::sign", unary<kSign>},
                {"aten::sin", unary<kSin>},
                {"aten::sqrt", unary<kSqrt>},
                {"aten::tanh", unary<kTanh>},
                {"aten::add", scaled<kAdd, false>},
                {"aten::sub", scaled<kSub, false>},
                {"aten::rsub", scaled<kSub, true>},
                {"aten::mul", binary<kMul>},
                {"aten::div", divide},
                {"aten::floor_divide", floor_divide},
                {"aten::maximum", binary<kMax>},
                {"aten::minimum", binary<kMin>},
                {"aten::pow", binary<kPow>},
                {"aten::clamp", clamp},
                {"aten::hardtanh", clamp},
                {"aten::clamp_min", clamp_min},
                {"aten::clamp_max", clamp_max},
                {"aten::relu6", relu6},
                {"aten::silu", silu},
                {"aten::hardsigmoid", hardsigmoid},
                {"aten::leaky_relu", leaky_relu},
                {"aten::elu", elu},
                {"aten::gelu", gelu},
                {"aten::prelu", prelu},
                {"aten::softplus", softplus},
                {"aten::square", square},
                {"aten::rsqrt", reciprocal_sqrt},
                {"aten::to", convert},
                {"aten::type_as", convert},
                {"aten::_to_copy", convert},
                {"aten::float", convert},
                {"aten::alias", same},
                {"aten::clone", same},
                {"aten::contiguous", same},
                {"aten::detach", same},
                {"aten::dropout", same},
                {"aten::feature_dropout", same},
                {"aten::lift_fresh", same}});
}

}  // namespace halftone::internal
