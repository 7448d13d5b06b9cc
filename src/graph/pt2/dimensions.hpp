#pragma once

#include <map>
#include <string>
#include <utility>

#include "core/json_field.hpp"
#include "halftone/graph/pt2.hpp"

namespace halftone::internal::pt2 {

using Ranges = std::map<std::string, std::pair<std::int64_t, std::int64_t>>;  ///< least and most by symbol

/// The limits of all symbols, from a program's "range_constraints".
Ranges read_ranges(const JsonField& field);

/// An input by its entry in "tensor_values".
ProgramInput read_input(std::string name, const JsonField& meta, const Ranges& ranges);

/// Throws `InvalidArgument` where `tensors` do not fit, naming the input.
void check_inputs(std::span<const ProgramInput> inputs, std::span<const at::Tensor> tensors, at::Device device);

}  // namespace halftone::internal::pt2
