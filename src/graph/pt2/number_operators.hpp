#pragma once

#include <ATen/core/ivalue.h>

#include <functional>
#include <string>
#include <vector>

namespace halftone::internal::pt2 {

/// Arithmetic on plain numbers: sizes and what is computed from them.
using NumberOperator = std::function<c10::IValue(const std::vector<c10::IValue>& arguments)>;

/// The operator of a node's target ("_operator.floordiv", "torch.sym_max"), with Python's meaning: // and % round down,
/// / gives a float. Empty for a name that is none. Calls throw `InvalidArgument` for a wrong number or type of
/// arguments, division by zero, and integers beyond 64 bits.
NumberOperator find_number_operator(const std::string& target);

}  // namespace halftone::internal::pt2
