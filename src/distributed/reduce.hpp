#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <span>

#include "halftone/distributed/communicator.hpp"

namespace halftone::internal {

/// `out` becomes the sum, or maximum, of `parts` of `count` elements each, added from the first to the last, element by
/// element; `out` may be one of them. Single-threaded: it runs beside the caller's work. Throws `InvalidArgument` for a
/// type without sums.
void reduce(c10::ScalarType type, ReduceOp op, std::span<const void* const> parts, void* out, std::int64_t count);

}  // namespace halftone::internal
