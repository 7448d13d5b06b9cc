#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace halftone {

/// Splits [0, labels.size()) into disjoint parts that each hold close to `fractions[k]` of every class (within one
/// sample of it per class), drawn by `seed`; each part is in ascending order. Fractions are positive and sum to at
/// most 1; what is left over belongs to no part. Same arguments, same parts, on every machine.
std::vector<std::vector<std::int64_t>> stratified_split(std::span<const std::int64_t> labels,
                                                        std::span<const double> fractions, std::uint64_t seed);

}  // namespace halftone
