#pragma once

#include <random>
#include <string>

#include "catch.hpp"
#include "halftone/core/error.hpp"

/// Calls `open` with `rounds` damaged forms of `good`, drawn by `seed`: bytes changed, cut out, doubled, cut off. What
/// `open` throws must be BadFile, Unsupported or InvalidArgument. Gives how many were refused.
template <class Open>
int refused_mutations(const std::string& good, unsigned seed, int rounds, Open&& open) {
  std::mt19937 random(seed);
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string bytes = good;
    for (std::size_t edits = 1 + random() % 4; edits > 0 && !bytes.empty(); --edits) {
      const std::size_t at = random() % bytes.size();
      const std::size_t length = 1 + random() % 8;
      const std::size_t kind = random() % 6;
      if (kind < 3) bytes[at] = static_cast<char>(random());
      if (kind == 3) bytes.erase(at, length);
      if (kind == 4) bytes.insert(at, bytes.substr(at, length));
      if (kind == 5 && random() % 4 == 0) bytes.resize(at);
    }
    CAPTURE(seed, round);
    try {
      open(bytes);
    } catch (const halftone::Error& error) {
      ++refused;
      const auto code = error.code();
      CHECK((code == halftone::Errc::BadFile || code == halftone::Errc::Unsupported ||
             code == halftone::Errc::InvalidArgument));
    }
  }
  return refused;
}
