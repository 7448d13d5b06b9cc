#include "quantize/targets.hpp"

#include <algorithm>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/search/within_latency.hpp"
#include "report/text.hpp"
#include "search/budget.hpp"

namespace halftone::internal {

Targets::Targets(const Setup& setup, KeptEvaluator& evaluator, std::function<const SensitivityTable&()> sense,
                 std::vector<TargetResult>& targets, std::vector<SearchStep>& steps)
    : setup_(setup),
      evaluator_(evaluator),
      sense_(std::move(sense)),
      targets_(targets),
      steps_(steps),
      order_([this](const Plan& plan, Precision target, const std::vector<std::size_t>& sites) {
        this->sense();
        return ordering_(plan, target, sites);
      }) {
  if (setup.units) units_.emplace(*setup.units, setup.model.sites, *setup.parts.latency, evaluator);
}

void Targets::sense() {
  if (ordering_) return;
  const SensitivityTable& of_sites = sense_();
  const SensitivityTable& table = units_ ? unit_table_.emplace(units_->table(of_sites)) : of_sites;
  predicted_.emplace(table);
  ordering_ = units_ ? setup_.parts.order->make(table, units_->sites(), units_->latency())
                     : setup_.parts.order->make(table, setup_.model.sites, *setup_.parts.latency);
}

SearchProblem Targets::problem() {
  SearchLimits limits = setup_.options.limits;
  if (limits.most_evaluations > 0) limits.most_evaluations -= static_cast<int>(steps_.size());
  limits.most_seconds = seconds_left(limits, setup_.now() - start_);
  const auto predict = [this]() -> const PredictedDamage& {
    sense();
    return *predicted_;
  };
  const std::span<const Precision> precisions = setup_.options.precisions;
  const auto clock = [this] { return setup_.now(); };
  if (!units_) return {setup_.model.sites, precisions, order_, *setup_.parts.latency, predict, limits, steps_, clock};
  units_->begin(steps_);
  return {units_->sites(), precisions, order_, units_->latency(), predict, limits, units_->known(), clock};
}

Evaluator& Targets::evaluator() { return units_ ? units_->evaluator() : evaluator_; }

bool Targets::is_spent() const {
  return internal::is_spent(setup_.options.limits, std::ssize(steps_), setup_.now() - start_);
}

void Targets::judge_again(const Gate& gate) {
  for (SearchStep& step : steps_) step.evaluation.passed = gate.passes(step.evaluation, evaluator_.baseline());
}

void Targets::announce() const {
  const std::size_t sites = setup_.units ? setup_.units->units().size() : setup_.model.sites.size();
  const std::size_t most = setup_.parts.search->most_evaluations(sites, setup_.options.precisions.size());
  const int budget = setup_.options.limits.most_evaluations;
  if (most == 0 && budget == 0) return;
  std::size_t evaluations = (most + static_cast<std::size_t>(setup_.options.limits.repairs)) * targets_.size();
  if (setup_.options.latency_target)
    evaluations = static_cast<std::size_t>(WithinLatencyOptions{}.most_evaluations);
  else if (most == 0)
    evaluations = static_cast<std::size_t>(budget);
  if (budget > 0) evaluations = std::min(evaluations, static_cast<std::size_t>(budget));
  const double seconds = evaluator_.baseline().seconds;
  setup_.monitor.tell(message("Search: at most ", evaluations, " plans to score, up to ", significant(seconds, 2),
                              " s each, ", duration(seconds * static_cast<double>(evaluations)),
                              " in all; sensitivities, where they are needed, come on top."));
}

void Targets::search() {
  start_ = setup_.now();
  announce();
  for (TargetResult& target : targets_) {
    evaluator_.set_gate(target.gate);
    judge_again(target.gate);
    if (stopped_) {
      target.unsearched = "the run was stopped before";
      take_best_known(target);
      continue;
    }
    try {
      setup_.options.latency_target ? search_within(target) : search(target);
    } catch (const Stopped&) {
      stopped_ = true;
      take_best_known(target);
    }
  }
  if (stopped_) throw Stopped();
}

void Targets::say_spent() {
  const SearchLimits& limits = setup_.options.limits;
  const bool by_count = limits.most_evaluations > 0 && std::ssize(steps_) >= limits.most_evaluations;
  stop_reason_ = by_count
                     ? message("after ", limits.most_evaluations,
                               limits.most_evaluations == 1 ? " evaluation" : " evaluations", ", all that were allowed")
                     : message("after ", limits.most_seconds, " seconds, all that were allowed");
}

void Targets::take_best_known(TargetResult& target) const {
  target.status = RunStatus::Stopped;
  for (const SearchStep& step : steps_) {
    if (!step.evaluation.passed || !(step.latency < target.figures.predicted_latency)) continue;
    target.plan = step.plan;
    target.figures.evaluation = step.evaluation;
    target.figures.predicted_latency = step.latency;
  }
}

void Targets::search(TargetResult& target) {
  const bool from_16 = setup_.options.precisions.front() == k16;
  if (!from_16 && !start_passes(target)) return;
  if (is_spent()) {
    say_spent();
    if (&target != targets_.data()) target.unsearched = "the budget was spent on looser targets";
    return take_best_known(target);
  }
  SearchResult found = setup_.parts.search->search(problem(), evaluator());
  finish(target, units_ ? units_->expand(std::move(found)) : std::move(found));
}

void Targets::search_within(TargetResult& target) {
  const double limit = setup_.options.latency_target->limit_beside(setup_.latency(setup_.baseline()));
  WithinLatencyResult found = search_within_latency(problem(), evaluator(), limit);
  if (units_) found.search = units_->expand(std::move(found.search));
  if (!found.search.best_evaluation && found.search.best != setup_.baseline()) {  // no plan is quoted unscored
    found.search.best_evaluation = evaluator_.evaluate_fully(found.search.best);
    if (!found.search.best_evaluation) throw Stopped();
    found.search.steps.push_back({found.search.best, *found.search.best_evaluation, found.search.best_latency,
                                  found.is_within ? "within the latency" : "the fastest predicted"});
  }
  finish(target, found.search);
  for (Decision& decision : target.decisions)
    if (decision.plan_digest == target.figures.evaluation.plan_digest)
      decision.text += ", of least damage there: the plan of the search";
  if (!found.is_within && target.status != RunStatus::Stopped) target.status = RunStatus::Missed;
}

void Targets::finish(TargetResult& target, const SearchResult& found) {
  steps_.insert(steps_.end(), found.steps.begin(), found.steps.end());
  target.decisions.insert(target.decisions.end(), found.decisions.begin(), found.decisions.end());
  if (found.status == SearchStatus::OutOfBudget) say_spent();
  if (found.best_evaluation) {
    target.figures.evaluation = *found.best_evaluation;
  } else if (found.best == setup_.baseline()) {
    target.figures.evaluation = evaluator_.baseline();
  } else if (found.best != target.plan) {
    target.figures.evaluation = {};
  }
  target.plan = found.best;
  target.figures.predicted_latency = found.best_latency;
  const bool passes = target.gate.passes(target.figures.evaluation, evaluator_.baseline());
  target.status = found.status != SearchStatus::Finished ? RunStatus::Stopped
                  : passes                               ? RunStatus::Met
                                                         : RunStatus::Missed;
  stopped_ = found.status == SearchStatus::Stopped;
}

bool Targets::start_passes(TargetResult& target) {
  const Plan start = Plan::uniform(setup_.model.sites.size(), setup_.options.precisions.front());
  if (const SearchStep* known = find_step(steps_, start)) {
    target.figures.evaluation = known->evaluation;
  } else {
    const auto evaluation = evaluator_.evaluate_fully(start);
    if (!evaluation) throw Stopped();
    target.figures.evaluation = *evaluation;
    const std::string precision = to_string(setup_.options.precisions.front());
    steps_.push_back({start, *evaluation, setup_.latency(start),
                      evaluation->passed ? message("all sites at ", precision, " bits pass")
                                         : message("all sites at ", precision,
                                                   " bits, the highest precision allowed, lose too much")});
  }
  const Evaluation& evaluation = target.figures.evaluation;
  target.decisions.push_back({evaluation.plan_digest, evaluation.passed, find_step(steps_, start)->decision});
  target.plan = start;
  target.figures.predicted_latency = setup_.latency(start);
  target.status = evaluation.passed ? RunStatus::Met : RunStatus::Missed;
  return evaluation.passed;
}

}  // namespace halftone::internal
