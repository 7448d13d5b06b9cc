#pragma once

#include "halftone/graph/model.hpp"

namespace halftone::internal {

/// Computes once what every pass would compute alike: nodes that read nothing but the model's own tensors and no size
/// that varies, such as `aten::arange` of a fixed length, a third of the weights of attention, the weight behind a
/// weight norm. What depends on a parameter becomes a parameter of that one's name ("NAME/1" where it is one of
/// several). Transpositions of weight matrices stay for `canonicalize`; graphs that write in place are left alone.
/// Without gradients to what was there before.
Model fold_constants(Model model);

}  // namespace halftone::internal
