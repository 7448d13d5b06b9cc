#pragma once

#include <string>
#include <variant>
#include <vector>

#include "halftone/graph/graph.hpp"
#include "halftone/spatial/rows.hpp"
#include "spatial/split_rules.hpp"

namespace halftone::internal {

/// Reads nothing that is split.
struct OnWholes {};
/// Gets whole what is split.
struct OnGathered {};
using Handling = std::variant<OnWholes, OnGathered, LocalRows, SplitResult, WholeResult>;

/// Which values of a graph are split by rows, and how its nodes are computed then. The same on every rank.
class SplitPlan {
 public:
  /// Borrows the graph. Throws `Unsupported` for what cannot be split, unless `gather`.
  SplitPlan(const Graph& graph, int ranks, bool gather);

  [[nodiscard]] bool is_split(ValueId id) const { return is_split_[static_cast<std::size_t>(id)]; }
  /// Of a value that is split.
  [[nodiscard]] RowSplit split(ValueId id) const;
  [[nodiscard]] const Handling& handling(std::size_t node) const { return handling_[node]; }
  [[nodiscard]] const std::vector<std::string>& gathered() const { return gathered_; }

 private:
  void set_split(ValueId id, const std::string& place);
  Handling handle(std::size_t index, bool gather);

  const Graph& graph_;
  int ranks_;
  std::vector<bool> is_split_;
  std::vector<Handling> handling_;
  std::vector<std::string> gathered_;
};

}  // namespace halftone::internal
