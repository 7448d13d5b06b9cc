#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "halftone/core/precision.hpp"

namespace halftone {

/// The precision of every site, in the order of the model's sites.
struct Plan {
  std::vector<Precision> precisions;

  static Plan uniform(std::size_t sites, Precision precision) { return {std::vector<Precision>(sites, precision)}; }

  [[nodiscard]] std::size_t size() const { return precisions.size(); }
  Precision& operator[](std::size_t site) { return precisions[site]; }
  const Precision& operator[](std::size_t site) const { return precisions[site]; }

  bool operator==(const Plan&) const = default;
};

/// "8 8 4 16 …": one word a site; equal plans, equal text.
inline std::string to_string(const Plan& plan) {
  std::string text;
  for (const Precision p : plan.precisions) {
    if (!text.empty()) text += ' ';
    text += to_string(p);
  }
  return text;
}

}  // namespace halftone
