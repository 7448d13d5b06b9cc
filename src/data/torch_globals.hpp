#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "halftone/core/dtype.hpp"

/// What a pickle stream of `torch.save` may name, each as "module.name".
namespace halftone::internal {

/// What a stream calls the type of a storage.
struct StorageType {
  std::string_view name;  ///< "FloatStorage"
  std::uint64_t element_bytes;
  std::optional<DType> dtype;  ///< none where Halftone has no use for it
};

/// "torch.FloatStorage", "torch.cuda.FloatStorage" or "torch.storage.UntypedStorage"; null for others.
const StorageType* storage_type(std::string_view global);

/// "torch.float32"; nothing for others, and for types that Halftone has no use for.
std::optional<DType> torch_dtype(std::string_view global);

/// Whether a stream may name this: what tensors are made of, and plain data beside them.
bool is_torch_global(const std::string& global);

}  // namespace halftone::internal
