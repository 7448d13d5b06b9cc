#include "halftone/adjust/finisher.hpp"

#include <ATen/ATen.h>

#include "halftone/core/error.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone {

FinishedNetwork Finisher::finish(const FinishContext& context) const {
  require_ranges(context.model, context.calibration, context.plan);
  FinishedNetwork finished = do_finish(context);
  require_ranges(finished.model, finished.calibration, context.plan);
  const auto& before = context.model.tensors;
  const auto& after = finished.model.tensors;
  const bool is_same_graph = to_string(finished.model.graph) == to_string(context.model.graph);
  for (std::size_t id = 0; id < before.size(); ++id) {
    const bool has_place = is_same_graph && id < after.size() && after[id].defined() == before[id].defined();
    if (has_place && (!before[id].defined() || after[id].is_same(before[id]))) continue;
    const bool fits = has_place && after[id].sizes() == before[id].sizes() && after[id].dtype() == before[id].dtype();
    if (fits && at::isfinite(after[id]).all().item<bool>()) continue;
    throw Error(Errc::Internal,
                message("finishing gave back another network: tensor \"", context.model.graph.values[id].name,
                        "\" has another shape or type, or is not "
                        "finite: a Finisher changes the values of tensors only"));
  }
  return finished;
}

}  // namespace halftone
