#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace halftone {

/// Element type of a tensor, independent of LibTorch.
enum class DType : std::uint8_t {
  Bool,
  UInt8,
  Int8,
  Int16,
  Int32,
  Int64,
  Float16,
  BFloat16,
  Float32,
  Float64,
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;         ///< as PyTorch prints it
  std::string_view safetensors;  ///< as the safetensors format spells it
  std::size_t bytes;
  bool floating;
};

inline constexpr std::array<DTypeInfo, 10> kDTypes{{
    {DType::Bool, "bool", "BOOL", 1, false},
    {DType::UInt8, "uint8", "U8", 1, false},
    {DType::Int8, "int8", "I8", 1, false},
    {DType::Int16, "int16", "I16", 2, false},
    {DType::Int32, "int32", "I32", 4, false},
    {DType::Int64, "int64", "I64", 8, false},
    {DType::Float16, "float16", "F16", 2, true},
    {DType::BFloat16, "bfloat16", "BF16", 2, true},
    {DType::Float32, "float32", "F32", 4, true},
    {DType::Float64, "float64", "F64", 8, true},
}};

constexpr const DTypeInfo& info(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }

/// The type that safetensors spells `text`, e.g. "F32"; nothing when there is none.
constexpr std::optional<DType> dtype_from_safetensors(std::string_view text) {
  for (const auto& entry : kDTypes)
    if (entry.safetensors == text) return entry.dtype;
  return std::nullopt;
}

}  // namespace halftone
