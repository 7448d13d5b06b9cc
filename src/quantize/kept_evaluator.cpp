#include "quantize/kept_evaluator.hpp"

#include <nlohmann/json.hpp>

#include <tuple>
#include <utility>

#include "quantize/kept_json.hpp"

namespace halftone::internal {

KeptEvaluator::KeptEvaluator(Memory& memory, std::string fingerprint,
                             std::function<std::unique_ptr<PlanEvaluator>()> make, Plan baseline)
    : memory_(memory),
      fingerprint_(std::move(fingerprint)),
      make_(std::move(make)),
      baseline_plan_(std::move(baseline)) {}

Digest KeptEvaluator::key(const Plan& plan) const {
  Digest digest;
  digest.add(fingerprint_).add(to_string(plan));
  return digest;
}

void KeptEvaluator::count(const Evaluation& evaluation) {
  passes_ += static_cast<double>(evaluation.samples - evaluation.unscored) / static_cast<double>(evaluation.samples);
}

bool KeptEvaluator::measure_baseline() {
  const Digest digest = key(baseline_plan_);
  const auto read = [](const nlohmann::json& json) {
    return std::pair(kept_evaluation(json.at(0)), kept_evaluation(json.at(1)));
  };
  if (const auto kept = memory_.find("baseline", digest, read)) {
    std::tie(float_score_, baseline_) = *kept;
  } else {
    if (live() == nullptr) return false;
    float_score_ = live_->float_score();
    baseline_ = live_->baseline();
    memory_.keep("baseline", digest, {to_kept(float_score_), to_kept(baseline_)});
  }
  count(float_score_);
  count(baseline_);
  return true;
}

PlanEvaluator* KeptEvaluator::live() {
  if (!live_) {
    auto made = make_();
    if (!made->measure_baseline(baseline_plan_)) return nullptr;
    live_ = std::move(made);
    live_->set_gate(gate_);
  }
  return live_.get();
}

void KeptEvaluator::set_gate(const Gate& gate) {
  gate_ = gate;
  if (live_) live_->set_gate(gate);
}

std::optional<Evaluation> KeptEvaluator::find(const Plan& plan, bool whole) {
  auto kept = memory_.find("evaluation", key(plan), kept_evaluation);
  if (!kept) return std::nullopt;
  kept->passed = gate_.passes(*kept, baseline_);
  if (kept->ended_early() && (whole || kept->passed)) return std::nullopt;  // it settles nothing
  return kept;
}

std::optional<Evaluation> KeptEvaluator::score(const Plan& plan, bool whole) {
  if (auto known = find(plan, whole)) {
    count(*known);
    return known;
  }
  if (live() == nullptr) return std::nullopt;
  auto evaluation = whole ? live_->evaluate_fully(plan) : live_->evaluate(plan);
  if (!evaluation) return std::nullopt;
  count(*evaluation);
  memory_.keep("evaluation", key(plan), to_kept(*evaluation));
  return evaluation;
}

std::optional<Evaluation> KeptEvaluator::evaluate(const Plan& plan) { return score(plan, false); }

std::optional<Evaluation> KeptEvaluator::evaluate_fully(const Plan& plan) { return score(plan, true); }

}  // namespace halftone::internal
