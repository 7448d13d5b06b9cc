#include "distributed/reduce.hpp"

#include <ATen/Dispatch.h>

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

}  // namespace

void reduce(c10::ScalarType type, ReduceOp op, std::span<const void* const> parts, void* out, std::int64_t count) {
  switch (type) {
    case at::kFloat:
      return reduce_as<float>(op, parts, out, count);
    case at::kDouble:
      return reduce_as<double>(op, parts, out, count);
    case at::kHalf:
      return reduce_as<c10::Half>(op, parts, out, count);
    case at::kBFloat16:
      return reduce_as<c10::BFloat16>(op, parts, out, count);
    case at::kByte:
      return reduce_as<std::uint8_t>(op, parts, out, count);
    case at::kChar:
      return reduce_as<std::int8_t>(op, parts, out, count);
    case at::kShort:
      return reduce_as<std::int16_t>(op, parts, out, count);
    case at::kInt:
      return reduce_as<std::int32_t>(op, parts, out, count);
    case at::kLong:
      return reduce_as<std::int64_t>(op, parts, out, count);
    case at::kBool:
      return reduce_as<bool>(op, parts, out, count);
    default:
      throw Error(Errc::InvalidArgument, message("no sum over ranks of tensors of type ", type));
  }
}

}  // namespace halftone::internal
