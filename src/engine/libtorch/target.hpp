#pragma once

#include <ATen/core/Tensor.h>

#include "engine/libtorch/operator_call.hpp"
#include "engine/libtorch/schedule.hpp"
#include "halftone/graph/model.hpp"

namespace halftone::internal {

/// What is compiled, and for what. Borrows all of it.
struct Target {
  const Model& model;
  const Plan& plan;
  const Calibration& calibration;
  std::int64_t batch;
  at::ScalarType type;  ///< of whatever is floating in the graph and no integer: bfloat16 or float32

  /// A parameter or constant, floating ones in `type`.
  [[nodiscard]] at::Tensor tensor(ValueId id) const;
  [[nodiscard]] const Value& value(ValueId id) const { return model.graph.values[static_cast<std::size_t>(id)]; }
  [[nodiscard]] std::vector<std::int64_t> sizes(const Shape& shape) const { return sizes_at(shape, {batch}); }
};

/// `node` as it stands in the graph, reading and writing `renamed` values in place of the graph's.
OperatorCall call_of(const Target& target, const Node& node,
                     const std::vector<std::pair<ValueId, ValueId>>& renamed = {});

/// A step of a pass; in parallel, each call in its own frame.
using Run = std::function<void(Frame&)>;

/// An integer site: weights are quantized and packed here.
Run integer_site(const Target& target, const Step& step);

/// A site in floats with packed weights.
Run packed_site(const Target& target, const Step& step);

/// A site in float32 on operands quantized and back; `scratch` is a place in the frame that nobody else uses.
Run emulated_site(const Target& target, const Step& step, ValueId scratch);

}  // namespace halftone::internal
