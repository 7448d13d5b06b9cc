#pragma once

#include <ATen/core/Tensor.h>

#include "halftone/data/safetensors.hpp"

namespace halftone::internal {

/// A tensor on the CPU that owns a copy of the entry's bytes, which may lie at any address in the file.
at::Tensor to_tensor(const SafetensorsEntry& entry);

}  // namespace halftone::internal
