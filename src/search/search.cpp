#include "halftone/search/search.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "search/budget.hpp"
#include "search/repair.hpp"

namespace halftone {
namespace {

void check(const SearchProblem& problem) {
  if (problem.sites.empty()) throw Error(Errc::InvalidArgument, "search: the model has no site to lower");
  const std::vector<Precision> given(problem.precisions.begin(), problem.precisions.end());
  const std::vector<Precision> ordered = ordered_precisions(given);
  if (given != ordered)
    throw Error(Errc::InvalidArgument, message("search: precisions must go from highest to lowest, but ", given.front(),
                                               " comes first where ", ordered.front(), " is highest"));
  if (!problem.order) throw Error(Errc::InvalidArgument, "search: no ordering was given");
}

void check_finite(const Evaluation& evaluation, const Plan& plan) {
  const std::pair<const char*, double> figures[] = {{"score", evaluation.score},
                                                    {"score count", evaluation.score_count},
                                                    {"damage", evaluation.damage},
                                                    {"interval's low end", evaluation.interval.low},
                                                    {"interval's high end", evaluation.interval.high}};
  for (const auto& [name, figure] : figures)
    // What a score can still be, where an evaluation ended early, may have no limit.
    if (!std::isfinite(figure) && !(evaluation.ended_early() && figure > 0))
      throw Error(Errc::NonFinite,
                  message("search: the evaluator's ", name, " is ", figure, " for plan \"", to_string(plan), '"'));
}

}  // namespace

std::vector<std::string> validate(const SearchLimits& limits) {
  std::vector<std::string> violations;
  if (limits.most_evaluations < 0)
    violations.push_back(message("most_evaluations is ", limits.most_evaluations, ": 0 (no limit) or more is needed"));
  if (!(limits.most_seconds >= 0))
    violations.push_back(message("most_seconds is ", limits.most_seconds, ": 0 (no limit) or more is needed"));
  if (limits.repairs < 0) violations.push_back(message("repairs is ", limits.repairs, ": 0 or more is needed"));
  return violations;
}

const char* to_string(SearchStatus status) {
  switch (status) {
    case SearchStatus::Finished:
      return "finished";
    case SearchStatus::Stopped:
      return "stopped";
    case SearchStatus::OutOfBudget:
      return "out of budget";
  }
  return "unknown";
}

const SearchStep* find_step(std::span<const SearchStep> steps, const Plan& plan) {
  const auto found =
      std::find_if(steps.begin(), steps.end(), [&](const SearchStep& step) { return step.plan == plan; });
  return found == steps.end() ? nullptr : &*found;
}

double SearchProblem::now() const {
  if (clock) return clock();
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

SearchRun::SearchRun(const SearchProblem& problem, Evaluator& evaluator)
    : problem_(problem), evaluator_(evaluator), start_(problem.now()) {
  result_.best = Plan::uniform(problem.sites.size(), problem.precisions.front());
  result_.best_latency = problem.latency.estimate(problem.sites, result_.best);
  for (const SearchStep& step : problem.known) consider(step);
}

void SearchRun::consider(const SearchStep& step) {
  if (!step.evaluation.passed || !(step.latency < result_.best_latency)) return;
  result_.best = step.plan;
  result_.best_evaluation = step.evaluation;
  result_.best_latency = step.latency;
}

bool SearchRun::is_spent() const {
  return internal::is_spent(problem_.limits, std::ssize(result_.steps), problem_.now() - start_);
}

void SearchRun::record(const Plan& plan, bool passed, std::string decision) {
  const SearchStep* step = find_step(result_.steps, plan);
  if (step == nullptr) step = find_step(problem_.known, plan);
  if (!result_.steps.empty() && step == &result_.steps.back()) result_.steps.back().decision = decision;
  result_.decisions.push_back({step->evaluation.plan_digest, passed, std::move(decision)});
}

std::optional<bool> SearchRun::score(const Plan& plan) {
  is_news_ = false;
  if (is_over()) {
    constexpr int kPatience = 1000;
    if (++refused_ > kPatience)
      throw Error(
          Errc::Internal,
          "search: it goes on after the user asked to stop, or a budget was spent, where passes() gave nothing");
    return std::nullopt;
  }
  const bool is_baseline = plan == Plan::uniform(problem_.sites.size(), problem_.precisions.front());
  const SearchStep* step = find_step(result_.steps, plan);
  if (step == nullptr && !is_baseline) {
    step = find_step(problem_.known, plan);
    is_news_ = step != nullptr && asked_.insert(step).second;
  }
  if (is_baseline || step != nullptr) {
    constexpr int kPatience = 10'000;
    if (++refused_ > kPatience)
      throw Error(Errc::Internal, message("search: it does not end: ", kPatience,
                                          " questions in a row about plans that were scored before"));
    return is_baseline || step->evaluation.passed;
  }
  refused_ = 0;

  if (is_spent()) {
    result_.status = SearchStatus::OutOfBudget;
    return std::nullopt;
  }
  const double latency = problem_.latency.estimate(problem_.sites, plan);
  const std::optional<Evaluation> evaluation = evaluator_.evaluate(plan);
  if (!evaluation) {
    result_.status = SearchStatus::Stopped;
    return std::nullopt;
  }
  check_finite(*evaluation, plan);
  result_.steps.push_back({.plan = plan, .evaluation = *evaluation, .latency = latency});
  consider(result_.steps.back());
  is_news_ = true;
  return evaluation->passed;
}

SearchResult SearchStrategy::search(const SearchProblem& problem, Evaluator& evaluator) const {
  require_valid("search limits", validate(problem.limits));
  check(problem);
  SearchRun run(problem, evaluator);
  try {
    do_search(problem, run);
    internal::repair(problem, run);
  } catch (const Stopped&) {
    run.stop();
  }
  return run.result();
}

}  // namespace halftone
