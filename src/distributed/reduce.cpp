#include "distributed/reduce.hpp"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <type_traits>

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

template <class T>
T add(T a, T b) {
  if constexpr (std::is_same_v<T, bool>)
    return a || b;
  else
    return static_cast<T>(a + b);
}

/// NaN wins.
template <class T>
T larger(T a, T b) {
  if constexpr (!std::is_integral_v<T>) {
    // NOLINTNEXTLINE(misc-redundant-expression): NaN differs from itself
    if (b != b) return b;
  }
  return a < b ? b : a;
}

template <class T, class Combine>
void combine(std::span<const void* const> parts, T* out, std::int64_t count, const Combine& pair) {
  constexpr std::int64_t kBlock = 1024;  // so that `out` may be any of the parts
  std::array<T, kBlock> block;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t length = std::min(kBlock, count - begin);
    std::copy_n(static_cast<const T*>(parts[0]) + begin, length, block.data());
    for (const void* part : parts.subspan(1)) {
      const T* const values = static_cast<const T*>(part) + begin;
      for (std::int64_t i = 0; i < length; ++i)
        block[static_cast<std::size_t>(i)] = pair(block[static_cast<std::size_t>(i)], values[i]);
    }
    std::copy_n(block.data(), length, out + begin);
  }
}

template <class T>
void reduce_as(ReduceOp op, std::span<const void* const> parts, void* out, std::int64_t count) {
  if (op == ReduceOp::Sum)
    combine(parts, static_cast<T*>(out), count, add<T>);
  else
    combine(parts, static_cast<T*>(out), count, larger<T>);
}

/// What `action`, given the type of elements, says; false where there is none.
template <class Action>
bool with_type(c10::ScalarType type, const Action& action) {
  switch (type) {
    case at::kFloat:
      return action.template operator()<float>();
    case at::kDouble:
      return action.template operator()<double>();
    case at::kHalf:
      return action.template operator()<c10::Half>();
    case at::kBFloat16:
      return action.template operator()<c10::BFloat16>();
    case at::kByte:
      return action.template operator()<std::uint8_t>();
    case at::kChar:
      return action.template operator()<std::int8_t>();
    case at::kShort:
      return action.template operator()<std::int16_t>();
    case at::kInt:
      return action.template operator()<std::int32_t>();
    case at::kLong:
      return action.template operator()<std::int64_t>();
    case at::kBool:
      return action.template operator()<bool>();
    default:
      return false;
  }
}

}  // namespace

bool can_reduce(c10::ScalarType type) {
  return with_type(type, []<class T>() { return true; });
}

void reduce(c10::ScalarType type, ReduceOp op, std::span<const void* const> parts, void* out, std::int64_t count) {
  const bool known = with_type(type, [&]<class T>() {
    reduce_as<T>(op, parts, out, count);
    return true;
  });
  if (!known) throw Error(Errc::Internal, message("no sum over ranks of tensors of type ", type));
}

}  // namespace halftone::internal
