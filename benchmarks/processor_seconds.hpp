#pragma once

#include <ctime>

namespace halftone::benchmarks {

/// Of all threads of this process so far: they suffer less from a busy machine than those of a clock on the wall.
inline double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace halftone::benchmarks
