#pragma once

#include <optional>

#include "halftone/engine/measure.hpp"

namespace halftone::internal {

/// `compare`; nothing where the turns are not known, as in a run.json of an earlier version.
inline std::optional<Ratio> ratio(const Timing& candidate, const Timing& reference) {
  if (candidate.samples.empty() || candidate.samples.size() != reference.samples.size()) return std::nullopt;
  return compare(candidate, reference);
}

}  // namespace halftone::internal
