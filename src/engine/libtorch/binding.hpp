#pragma once

#include "engine/libtorch/target.hpp"
#include "halftone/engine/engine.hpp"

namespace halftone::internal {

/// A step with its tensors.
struct BoundStep {
  Run run;
  EngineNode node;
};

/// Binds the step that comes next and runs it once in `frame`, whose last place is scratch. An operator without a
/// kernel for the network's type computes in float32, and its result is converted. Throws `Unsupported` naming operator
/// and place where that fails too.
BoundStep bind(const Target& target, const Step& step, Frame& frame);

}  // namespace halftone::internal
