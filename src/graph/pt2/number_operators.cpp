#include "graph/pt2/number_operators.hpp"

#include <cmath>
#include <map>

#include "halftone/core/error.hpp"

namespace halftone::internal::pt2 {

namespace {

using Numbers = std::vector<c10::IValue>;

[[noreturn]] void fail(const std::string& why) { throw Error(Errc::InvalidArgument, why); }

bool is_integer(const c10::IValue& value) { return value.isInt() || value.isBool(); }

std::int64_t integer(const c10::IValue& value) {
  if (value.isBool()) return value.toBool() ? 1 : 0;
  if (!value.isInt()) fail("an integer is needed in arithmetic on sizes");
  return value.toInt();
}

double real(const c10::IValue& value) {
  return value.isDouble() ? value.toDouble() : static_cast<double>(integer(value));
}

bool truth(const c10::IValue& value) { return value.isDouble() ? value.toDouble() != 0 : integer(value) != 0; }

template <class Operation>
std::int64_t checked(const Operation& operation, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (operation(a, b, &result)) fail("arithmetic on sizes leaves the range of 64 bits");
  return result;
}

std::int64_t add(std::int64_t a, std::int64_t b) {
  return checked([](auto x, auto y, auto* z) { return __builtin_add_overflow(x, y, z); }, a, b);
}
std::int64_t subtract(std::int64_t a, std::int64_t b) {
  return checked([](auto x, auto y, auto* z) { return __builtin_sub_overflow(x, y, z); }, a, b);
}
std::int64_t multiply(std::int64_t a, std::int64_t b) {
  return checked([](auto x, auto y, auto* z) { return __builtin_mul_overflow(x, y, z); }, a, b);
}

/// Rounds down, as Python does.
std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (b == 0) fail("arithmetic on sizes divides by zero");
  if (b == -1) return subtract(0, a);
  return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

std::int64_t modulo(std::int64_t a, std::int64_t b) {
  return b == -1 ? 0 : a - floor_divide(a, b) * b;  // within the range: it lies between 0 and b
}

std::int64_t power(std::int64_t base, std::int64_t exponent) {
  constexpr std::int64_t kMost = 64;
  if (exponent < 0 || (exponent > kMost && base != 0 && base != 1 && base != -1))
    fail("a power of sizes leaves the range of 64 bits");
  std::int64_t result = 1;
  for (std::int64_t i = exponent > kMost ? exponent % 2 : exponent; i > 0; --i) result = multiply(result, base);
  return exponent > kMost && base == 0 ? 0 : result;
}

NumberOperator shift(bool left) {
  return [left](const Numbers& x) -> c10::IValue {
    const std::int64_t value = integer(x.at(0));
    const std::int64_t bits = integer(x.at(1));
    if (bits < 0 || bits > 62) fail("a size is shifted by less than 0 or more than 62 bits");
    return left ? multiply(value, std::int64_t{1} << bits) : value >> bits;
  };
}

/// Rounds a float to an integer that 64 bits hold.
std::int64_t to_integer(double value) {
  constexpr double kLimit = 9.2e18;
  if (!(std::abs(value) < kLimit)) fail("arithmetic on sizes leaves the range of 64 bits");
  return static_cast<std::int64_t>(value);
}

/// An operator of integers where both are, of floats otherwise.
template <class Integers, class Reals>
NumberOperator arithmetic(const Integers& integers, const Reals& reals) {
  return [=](const Numbers& x) -> c10::IValue {
    if (is_integer(x.at(0)) && is_integer(x.at(1))) return c10::IValue(integers(integer(x[0]), integer(x[1])));
    return c10::IValue(reals(real(x[0]), real(x[1])));
  };
}

template <class Comparison>
NumberOperator comparison(const Comparison& compare) {
  return arithmetic(compare, compare);
}

NumberOperator rounding(double (*round)(double)) {
  return [=](const Numbers& x) -> c10::IValue {
    return is_integer(x.at(0)) ? integer(x[0]) : to_integer(round(real(x[0])));
  };
}

/// & and | of truths stay truths.
template <class Operation>
NumberOperator bitwise(const Operation& operation) {
  return [=](const Numbers& x) -> c10::IValue {
    const std::int64_t bits = operation(integer(x.at(0)), integer(x.at(1)));
    return x[0].isBool() && x[1].isBool() ? c10::IValue(bits != 0) : c10::IValue(bits);
  };
}

c10::IValue true_divide(const Numbers& x) {
  if (real(x.at(1)) == 0) fail("arithmetic on sizes divides by zero");
  return real(x[0]) / real(x[1]);
}

double floor_divide_reals(double a, double b) {
  if (b == 0) fail("arithmetic on sizes divides by zero");
  return std::floor(a / b);
}

c10::IValue negate(const Numbers& x) {
  return is_integer(x.at(0)) ? c10::IValue(subtract(0, integer(x[0]))) : c10::IValue(-real(x[0]));
}

std::map<std::string, NumberOperator> make_operators() {
  const auto greater = [](auto a, auto b) { return a < b ? b : a; };
  const auto smaller = [](auto a, auto b) { return b < a ? b : a; };
  const auto modulo_reals = [](double a, double b) { return a - floor_divide_reals(a, b) * b; };
  const auto power_reals = [](double a, double b) { return std::pow(a, b); };
  const NumberOperator root = [](const Numbers& x) -> c10::IValue { return std::sqrt(real(x.at(0))); };
  return {
      {"_operator.add", arithmetic(add, [](double a, double b) { return a + b; })},
      {"_operator.sub", arithmetic(subtract, [](double a, double b) { return a - b; })},
      {"_operator.mul", arithmetic(multiply, [](double a, double b) { return a * b; })},
      {"_operator.floordiv", arithmetic(floor_divide, floor_divide_reals)},
      {"_operator.mod", arithmetic(modulo, modulo_reals)},
      {"_operator.pow", arithmetic(power, power_reals)},
      {"_operator.truediv", true_divide},
      {"_operator.neg", negate},
      {"_operator.pos", [](const Numbers& x) { return x.at(0); }},
      {"_operator.eq", comparison([](auto a, auto b) { return a == b; })},
      {"_operator.ne", comparison([](auto a, auto b) { return a != b; })},
      {"_operator.lt", comparison([](auto a, auto b) { return a < b; })},
      {"_operator.le", comparison([](auto a, auto b) { return a <= b; })},
      {"_operator.gt", comparison([](auto a, auto b) { return a > b; })},
      {"_operator.ge", comparison([](auto a, auto b) { return a >= b; })},
      {"_operator.and_", bitwise([](std::int64_t a, std::int64_t b) { return a & b; })},
      {"_operator.or_", bitwise([](std::int64_t a, std::int64_t b) { return a | b; })},
      {"_operator.lshift", shift(true)},
      {"_operator.rshift", shift(false)},
      {"math.trunc", rounding(std::trunc)},
      {"math.floor", rounding(std::floor)},
      {"math.ceil", rounding(std::ceil)},
      {"torch.sym_int", rounding(std::trunc)},
      {"torch.sym_float", [](const Numbers& x) -> c10::IValue { return real(x.at(0)); }},
      {"torch.sym_not", [](const Numbers& x) -> c10::IValue { return !truth(x.at(0)); }},
      {"torch.sym_max", arithmetic(greater, greater)},
      {"torch.sym_min", arithmetic(smaller, smaller)},
      {"torch.sym_ite", [](const Numbers& x) { return truth(x.at(0)) ? x.at(1) : x.at(2); }},
      {"torch.sym_sqrt", root},
      {"torch._sym_sqrt", root},
  };
}

}  // namespace

NumberOperator find_number_operator(const std::string& target) {
  static const std::map<std::string, NumberOperator> operators = make_operators();
  const auto found = operators.find(target);
  if (found == operators.end()) return {};
  return [&operation = found->second](const Numbers& arguments) {
    try {
      return operation(arguments);
    } catch (const std::out_of_range&) {
      fail("an operator on sizes has too few arguments");
    }
  };
}

}  // namespace halftone::internal::pt2
