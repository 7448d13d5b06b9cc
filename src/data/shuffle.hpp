#pragma once

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace halftone::internal {

/// Fisher-Yates. The standard fixes what the generator draws, but not what std::shuffle makes of it.
inline void shuffle(std::vector<std::int64_t>& values, std::mt19937_64& random) {
  for (std::uint64_t left = values.size(); left > 1; --left) {
    const std::uint64_t uneven = (0 - left) % left;  // 2^64 mod left: draws below it would favour small results
    std::uint64_t draw = random();
    while (draw < uneven) draw = random();
    std::swap(values[left - 1], values[draw % left]);
  }
}

}  // namespace halftone::internal
