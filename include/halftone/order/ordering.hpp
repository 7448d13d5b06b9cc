#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "halftone/core/plan.hpp"
#include "halftone/latency/latency_model.hpp"
#include "halftone/sensitivity/table.hpp"

namespace halftone {

/// Sites in the order in which a search should lower them, safest first.
using Ordering = std::vector<std::size_t>;

/// Makes the ordering for lowering some sites of `plan` to `target`; `sites` are those that may be lowered, and the
/// result is a permutation of them.
using OrderFn = std::function<Ordering(const Plan& plan, Precision target, const std::vector<std::size_t>& sites)>;

/// By score at the target precision, ties by position in the network. Borrows the table.
OrderFn order_by_score(const SensitivityTable& table);

/// By score at the target precision per latency gained. What a site gains is the mean of what lowering it alone gains
/// and of what raising it alone costs once all are lowered: conversions between precisions are in both, with opposite
/// signs. Scores of 0 come first, largest gain first; sites that gain nothing come last, by score. Borrows all. Cost:
/// two estimates a site.
OrderFn order_by_score_per_gain(const SensitivityTable& table, std::span<const Site> sites,
                                const LatencyModel& latency);

struct NestedOptions {
  double off_diagonal = 1;  ///< factor in [0, 1] of what sites do to each other; 0: each site for itself
  bool per_gain = true;     ///< by damage per latency gained, as `order_by_score_per_gain`; else by damage alone
};

std::vector<std::string> validate(const NestedOptions& options);

/// Site after site, always the one that adds least to the damage that `table.pairs` predicts, beside those lowered
/// before it, per latency gained; from the precisions that the plan has. Where a site takes damage away (errors
/// cancel), the largest gain comes first. Throws `InvalidArgument` where the table has no pairs. Borrows sites and
/// latency, copies the pairs. Cost: sites squared, and two estimates a site. Source: docs/methods.md, section 4.
OrderFn order_nested(const SensitivityTable& table, std::span<const Site> sites, const LatencyModel& latency,
                     const NestedOptions& options = {});

/// A way to order sites that can be asked for by name.
struct OrderMethod {
  std::string name;
  bool needs_pairs = false;  ///< of the sensitivity table
  /// Borrows all three for as long as the ordering is used.
  std::function<OrderFn(const SensitivityTable& table, std::span<const Site> sites, const LatencyModel& latency)> make;
};

OrderMethod score_order();                                    ///< "score"
OrderMethod gain_order();                                     ///< "gain": score per latency gained
OrderMethod nested_order(const NestedOptions& options = {});  ///< "nested"

}  // namespace halftone
