#pragma once

#include <vector>

#include "graph/pt2/operators.hpp"

namespace halftone::internal::pt2 {

/// Replaces an operator that only exports and their decomposition write by the one that modules call, where both
/// compute the same: engines and the preparation of a model know that one. Its results are the first of the node's;
/// `outputs` tells which of them are read.
void use_plain_form(c10::OperatorHandle& op, std::vector<Term>& arguments, const JsonField& outputs);

}  // namespace halftone::internal::pt2
