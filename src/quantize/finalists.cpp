#include "quantize/finalists.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

#include "halftone/core/error.hpp"
#include "quantize/kept_json.hpp"
#include "report/text.hpp"

namespace halftone::internal {
namespace {

/// Few turns leave medians without an interval, which JSON has no word for.
bool is_finite(const Measurement& measurement) {
  return std::all_of(measurement.timings.begin(), measurement.timings.end(),
                     [](const Timing& timing) { return std::isfinite(timing.low) && std::isfinite(timing.high); });
}

void take(TargetResult& target, const Plan& plan, const Evaluation& evaluation, double latency) {
  target.plan = plan;
  target.figures.evaluation = evaluation;
  target.figures.predicted_latency = latency;
}

}  // namespace

Finalists::Finalists(const Setup& setup, const std::vector<TargetResult>& targets, const Evaluation& baseline,
                     std::vector<SearchStep>& steps)
    : setup_(setup), steps_(steps) {
  add("all at 16 bits", setup.baseline());
  for (const Precision precision : setup.options.precisions)
    add(message("all at ", in_words(precision)), setup.uniform(precision));
  for (const TargetResult& target : targets) {
    add("plan", target.plan);
    add_next_best(target, baseline);
  }
}

void Finalists::add(std::string name, const Plan& plan) {
  const auto same = [&](const Variant& variant) { return variant.plan == plan; };
  if (std::none_of(variants_.begin(), variants_.end(), same))
    variants_.push_back({std::move(name), plan, setup_.float_type});
}

void Finalists::add_next_best(const TargetResult& target, const Evaluation& baseline) {
  constexpr std::size_t kMore = 2;
  const bool by_damage = setup_.options.latency_target.has_value();
  std::vector<std::pair<double, const Plan*>> passed;
  for (const SearchStep& step : steps_)
    if (!step.evaluation.ended_early() && target.gate.passes(step.evaluation, baseline) && step.plan != target.plan)
      passed.emplace_back(by_damage ? step.evaluation.damage : step.latency, &step.plan);
  std::stable_sort(passed.begin(), passed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const std::size_t most = variants_.size() + kMore;
  for (const auto& [rank, plan] : passed)
    if (variants_.size() < most) add("another plan that passed", *plan);
}

Digest Finalists::fingerprint(const Calibration& calibration) const {
  const QuantizeOptions& options = setup_.options;
  Digest all = setup_.fingerprint();
  all.add(setup_.engine_name()).add(to_string(setup_.float_type)).add(nlohmann::json(calibration).dump());
  all.add(options.latency_batch).add(options.latency_threads);
  for (const Variant& variant : variants_) all.add(to_string(variant.plan));
  return all;
}

void Finalists::measure(const Calibration& calibration, Memory& memory) {
  const Digest key = fingerprint(calibration);
  auto kept = memory.find("finalists", key, kept_measurement);
  if (kept && kept->timings.size() == variants_.size()) {
    measurement_ = *std::move(kept);
    return;
  }
  const QuantizeOptions& options = setup_.options;
  measurement_ = kept_measurement(setup_.from_first("timing the finalists", [&](const Monitor& monitor) {
    const Measurement made = benchmark(*setup_.parts.engine, setup_.model, calibration, variants_,
                                       {.batch = options.latency_batch, .threads = options.latency_threads}, monitor);
    return made.timings.empty() || monitor.stopped() ? nlohmann::json() : to_kept(made);
  }));
  if (is_finite(measurement_)) memory.keep("finalists", key, to_kept(measurement_));
}

const Timing& Finalists::timing(const Plan& plan) const {
  for (std::size_t i = 0; i < variants_.size(); ++i)
    if (variants_[i].plan == plan) return measurement_.timings[i];
  throw Error(Errc::Internal, message("plan \"", to_string(plan), "\" was not measured"));
}

EngineTimes Finalists::times(const Plan& plan) const {
  EngineTimes times{.batch = setup_.options.latency_batch,
                    .load = std::max(measurement_.load_before, measurement_.load_after),
                    .precise = measurement_.precise,
                    .baseline = timing(setup_.baseline()),
                    .plan = timing(plan)};
  for (const Precision precision : setup_.options.precisions)
    times.uniform[to_string(precision)] = timing(setup_.uniform(precision));
  return times;
}

void Finalists::choose(TargetResult& target, KeptEvaluator& evaluator, std::vector<std::string>& notes) {
  if (setup_.measures_latency && setup_.options.latency_target && target.status != RunStatus::Stopped)
    choose_within(target, notes);
  else if (setup_.measures_latency && target.status != RunStatus::Missed)
    choose_fastest(target, evaluator, notes);
  target.measured = timing(target.plan);
}

void Finalists::choose_fastest(TargetResult& target, KeptEvaluator& evaluator, std::vector<std::string>& notes) {
  const double predicted_time = timing(target.plan).minimum;
  std::vector<std::pair<double, const Variant*>> faster;
  for (const Variant& variant : variants_)
    if (const double time = timing(variant.plan).minimum; time < predicted_time && setup_.is_allowed(variant.plan))
      faster.emplace_back(time, &variant);
  std::sort(faster.begin(), faster.end());
  for (const auto& [time, variant] : faster) {
    const auto known = find_score(variant->plan, target.gate, evaluator.baseline());
    if (!known && target.status == RunStatus::Stopped) continue;  // the budget is spent
    const Evaluation evaluation = known ? *known : score(*variant, target, evaluator);
    if (!evaluation.passed) continue;
    take(target, variant->plan, evaluation, setup_.latency(variant->plan));
    const std::string before = with_unit(predicted_time, "ms");
    if (const std::string result = with_unit(time, "ms"); result != before)
      notes.push_back(message(
          "The plan that the search found", setup_.gates.size() > 1 ? " for " + to_string(target.gate) : "", " took ",
          before, " in its fastest pass, ", variant->name, ' ', result, " and passes too: it is the result."));
    return;
  }
}

std::optional<Evaluation> Finalists::find_score(const Plan& plan, const Gate& gate, const Evaluation& baseline) const {
  const SearchStep* step = find_step(steps_, plan);
  if (step == nullptr && plan != setup_.baseline()) return std::nullopt;
  Evaluation evaluation = plan == setup_.baseline() ? baseline : step->evaluation;
  evaluation.passed = gate.passes(evaluation, baseline);
  return evaluation;
}

Evaluation Finalists::score(const Variant& variant, TargetResult& target, KeptEvaluator& evaluator) {
  evaluator.set_gate(target.gate);
  const auto evaluation = evaluator.evaluate(variant.plan);
  if (!evaluation) throw Stopped();
  steps_.push_back({variant.plan, *evaluation, setup_.latency(variant.plan),
                    message(variant.name, ", measured faster than the plan found, ",
                            evaluation->passed ? "keeps enough" : "loses too much")});
  target.decisions.push_back({evaluation->plan_digest, evaluation->passed, steps_.back().decision});
  return *evaluation;
}

bool Finalists::is_within(const Plan& plan) const {
  const LatencyTarget& asked = *setup_.options.latency_target;
  if (asked.change == 0) return timing(plan).minimum <= asked.limit;
  return compare(timing(plan), timing(setup_.baseline())).value <= 1 + asked.change;
}

void Finalists::choose_within(TargetResult& target, std::vector<std::string>& notes) const {
  if (is_within(target.plan)) {
    target.status = RunStatus::Met;
    return;
  }
  const Plan before = target.plan;
  const SearchStep* best = nullptr;
  for (const Variant& variant : variants_)
    if (const SearchStep* step = find_step(steps_, variant.plan);
        step != nullptr && is_within(variant.plan) &&
        (best == nullptr || step->evaluation.damage < best->evaluation.damage))
      best = step;
  if (best == nullptr) {
    target.status = RunStatus::Missed;
    return;
  }
  target.decisions.push_back(
      {target.figures.evaluation.plan_digest, false, "the plan of the search: measured slower than asked for"});
  target.decisions.push_back(
      {best->evaluation.plan_digest, true, "of least damage among those measured within the latency"});
  take(target, best->plan, best->evaluation, best->latency);
  target.status = RunStatus::Met;
  const bool by_change = setup_.options.latency_target->change != 0;
  const std::string time =
      by_change ? change(1, compare(timing(before), timing(setup_.baseline())).value) + " against 16 bits"
                : with_unit(timing(before).minimum, "ms");
  notes.push_back(message("The plan that the search found was measured at ", time,
                          ", slower than predicted and than asked for: the result is the one that damages least of "
                          "those that were measured within it."));
}

}  // namespace halftone::internal
