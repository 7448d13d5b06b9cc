#pragma once

#include <string>
#include <string_view>

#include "spatial/node_view.hpp"

namespace halftone::internal {

/// Whether the operator, named without namespace, makes each number of its result from those that stand there, whatever
/// its arguments.
bool is_local_operator(std::string_view name);

/// What keeps `node` from working on each rank's rows alone: shapes that do not go together by rows. Empty where
/// nothing does.
std::string why_not_local(const NodeView& node);

}  // namespace halftone::internal
