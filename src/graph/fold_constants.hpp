#pragma once

#include "halftone/graph/model.hpp"

namespace halftone::internal {

/// Computes once what every pass would compute alike: nodes that read nothing but constants and no batch size, such as
/// `aten::arange` of a fixed length. Parameters and buffers stay what they are. Graphs that write in place are left
/// alone.
Model fold_constants(Model model);

}  // namespace halftone::internal
