#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "halftone/core/plan.hpp"
#include "halftone/sensitivity/table.hpp"

namespace halftone {

/// Sites in the order in which a search should lower them, safest first.
using Ordering = std::vector<std::size_t>;

/// Makes the ordering for lowering some sites of `plan` to `target`; `sites` are those that may be lowered, and the
/// result is a permutation of them.
using OrderFn = std::function<Ordering(const Plan& plan, Precision target, const std::vector<std::size_t>& sites)>;

/// By score at the target precision, ties by position in the network. Borrows the table.
OrderFn order_by_score(const SensitivityTable& table);

}  // namespace halftone
