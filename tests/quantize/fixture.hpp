#pragma once

#include <memory>
#include <string>
#include <vector>

#include "evaluate/evaluations.hpp"
#include "fake_engine.hpp"
#include "halftone/latency/size.hpp"
#include "halftone/quantize.hpp"
#include "tiny_model.hpp"

namespace halftone {

/// All that `quantize` needs, with an engine.
struct QuantizeFixture {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = mostly_right(model, 20);
  std::shared_ptr<fakes::FakeEngine> engine = std::make_shared<fakes::FakeEngine>();
  QuantizeOptions options{.keep = 0.9, .precisions = {k16, k8}, .batch_size = 10, .threads = 1};
  QuantizeParts parts{.engine = engine};
  bool with_report = false;

  [[nodiscard]] RunResult run(const Monitor& monitor = {}) const {
    return quantize(model, {*data, *data, with_report ? data.get() : nullptr}, options, parts, monitor);
  }
  /// Latency from sizes: nothing is measured before the search.
  void model_latency() { parts.latency = std::make_shared<const SizeLatency>(); }
};

/// The result is the baseline, or a plan that was scored as the result says.
inline void check_result(const RunResult& run) {
  if (run.plan == Plan::uniform(run.sites.size(), k16))
    return check_equal(run.result.evaluation, run.baseline.evaluation);
  for (const SearchStep& step : run.steps)
    if (step.plan == run.plan) return check_equal(run.result.evaluation, step.evaluation);
  FAIL_CHECK("the plan was not scored: " << to_string(run.plan));
}

}  // namespace halftone
