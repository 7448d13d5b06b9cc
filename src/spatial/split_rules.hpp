#pragma once

#include <ATen/core/ivalue.h>

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "halftone/distributed/communicator.hpp"
#include "halftone/graph/graph.hpp"
#include "halftone/spatial/rows.hpp"
#include "spatial/node_view.hpp"

namespace c10 {
class OperatorHandle;
}

namespace halftone::internal {

/// A call whose first argument is a split image.
struct SplitCall {
  const c10::OperatorHandle& op;
  std::vector<c10::IValue>& stack;  ///< arguments, then results
  RowSplit image;
  Communicator& communicator;
};

/// Works on this rank's rows as on any image; whole arguments of as many rows are cut to them.
struct LocalRows {};
/// Makes this rank's rows of a split result.
struct SplitResult {
  std::function<void(const SplitCall&)> call;
};
/// Makes a result that is whole on every rank.
struct WholeResult {
  std::function<void(const SplitCall&)> call;
};
/// Why the operator cannot work on rows.
struct NotSplit {
  std::string why;
};
using SplitRule = std::variant<LocalRows, SplitResult, WholeResult, NotSplit>;

/// How `node`, of which some arguments are split images, is computed.
SplitRule find_split_rule(const NodeView& node);

}  // namespace halftone::internal
