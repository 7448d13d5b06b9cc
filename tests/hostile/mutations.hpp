#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "hostile/seeds.hpp"

namespace hostile {

/// One change to a seed.
struct Mutation {
  enum class Kind {
    Random,  ///< bits, bytes, ranges, ends
    Number,  ///< an integer at `at` replaced by an extreme one
    Json,    ///< the value number `at` of a part that is JSON
  };
  Kind kind = Kind::Random;
  int part = -1;  ///< of the seed; -1: the whole file, checksums included
  std::size_t at = 0;
};

/// The mutations of a seed; always the same, in the same order.
std::vector<Mutation> mutations_of(const Seed& seed);

/// The file that mutation `number`, which also seeds its random choices, makes of a seed.
std::string mutated(const Seed& seed, const Mutation& mutation, std::size_t number);

}  // namespace hostile
