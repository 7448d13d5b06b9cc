#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

namespace halftone {

/// When a score is good enough: score >= keep x baseline (point gate).
struct Gate {
  double keep = 0.999;  ///< share of the baseline's score to keep, in (0, 1]

  /// Equal up to rounding counts as kept.
  [[nodiscard]] bool passes(double score, double baseline) const { return score >= keep * baseline - 1e-12; }
};

/// Reads "99.9%" or "0.999". Throws `InvalidArgument` outside (0 %, 100 %].
double parse_keep(std::string_view text);

}  // namespace halftone
