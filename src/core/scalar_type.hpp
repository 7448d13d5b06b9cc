#pragma once

#include <c10/core/ScalarType.h>

#include <optional>

#include "halftone/core/dtype.hpp"

namespace halftone::internal {

constexpr c10::ScalarType to_scalar_type(DType dtype) {
  switch (dtype) {
    case DType::Bool:
      return c10::kBool;
    case DType::UInt8:
      return c10::kByte;
    case DType::Int8:
      return c10::kChar;
    case DType::Int16:
      return c10::kShort;
    case DType::Int32:
      return c10::kInt;
    case DType::Int64:
      return c10::kLong;
    case DType::Float16:
      return c10::kHalf;
    case DType::BFloat16:
      return c10::kBFloat16;
    case DType::Float32:
      return c10::kFloat;
    case DType::Float64:
      return c10::kDouble;
  }
  return c10::ScalarType::Undefined;
}

/// Nothing for types Halftone has no use for (complex, quantized, float8).
constexpr std::optional<DType> to_dtype(c10::ScalarType type) {
  for (const auto& entry : kDTypes)
    if (to_scalar_type(entry.dtype) == type) return entry.dtype;
  return std::nullopt;
}

}  // namespace halftone::internal
