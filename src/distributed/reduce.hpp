#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <span>

#include "halftone/distributed/communicator.hpp"

namespace halftone::internal {

/// Whether there are sums over ranks of such tensors.
bool can_reduce(c10::ScalarType type);

/// `out` becomes the sum, or maximum, of `parts` of `count` elements each, added from the first to the last, element by
/// element; `out` may be one of them. Single-threaded: it runs beside the caller's work. The type can be reduced.
void reduce(c10::ScalarType type, ReduceOp op, std::span<const void* const> parts, void* out, std::int64_t count);

}  // namespace halftone::internal
