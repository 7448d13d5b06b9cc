#include "quantize/finalists.hpp"

#include <algorithm>

#include "halftone/core/error.hpp"

namespace halftone::internal {

Finalists::Finalists(const RunResult& run, const LatencyModel& latency, FloatType float_type)
    : float_type_(float_type) {
  constexpr std::size_t kMore = 2;
  add("all at 16 bits", Plan::uniform(run.plan.size(), k16));
  for (const Precision precision : run.precisions)
    add(message("all at ", in_words(precision)), Plan::uniform(run.plan.size(), precision));
  add("plan", run.plan);
  std::vector<std::pair<double, const Plan*>> passed;
  for (const SearchStep& step : run.steps)
    if (step.evaluation.passed) passed.emplace_back(latency.estimate(run.sites, step.plan), &step.plan);
  std::stable_sort(passed.begin(), passed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const std::size_t most = variants_.size() + kMore;
  for (const auto& [time, plan] : passed)
    if (variants_.size() < most) add("another plan that passed", *plan);
}

void Finalists::add(std::string name, const Plan& plan) {
  const auto same = [&](const Variant& variant) { return variant.plan == plan; };
  if (std::none_of(variants_.begin(), variants_.end(), same)) variants_.push_back({std::move(name), plan, float_type_});
}

bool Finalists::measure(const Engine& engine, const Model& model, const Calibration& calibration,
                        const BenchmarkOptions& options, const Monitor& monitor) {
  measurement_ = benchmark(engine, model, calibration, variants_, options, monitor);
  return !measurement_.timings.empty() && !monitor.stopped();
}

const Timing& Finalists::timing(const Plan& plan) const {
  for (std::size_t i = 0; i < variants_.size(); ++i)
    if (variants_[i].plan == plan) return measurement_.timings[i];
  throw Error(Errc::Internal, message("plan \"", to_string(plan), "\" was not measured"));
}

}  // namespace halftone::internal
