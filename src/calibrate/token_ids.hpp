#pragma once

#include <cstdint>
#include <optional>

#include "halftone/data/dataset.hpp"
#include "halftone/graph/graph.hpp"

namespace halftone::internal {

/// Rows of the smallest table in which `graph` looks up what its `input` holds; nothing where it does not.
std::optional<std::int64_t> vocabulary(const Graph& graph, ValueId input);

/// Throws `InvalidArgument`, naming input, sample and value, where `data` holds an id that such a table lacks. Reads
/// every sample of networks that have one.
void require_known_ids(const Graph& graph, const Dataset& data);

}  // namespace halftone::internal
