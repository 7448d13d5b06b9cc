#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "halftone/sensitivity/table.hpp"

namespace halftone::internal {

/// What keeps a table from being one of `sites` sites at `precisions`, in words; empty where nothing does. Each site
/// needs a score at each precision. Standard errors are left out, or a finite number of at least 0 for each score.
/// Pairs, where there are any, are of the same sites and have all precisions.
std::string incompleteness(const SensitivityTable& table, std::size_t sites, std::span<const Precision> precisions);

}  // namespace halftone::internal
