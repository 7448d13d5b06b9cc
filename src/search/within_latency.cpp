#include "halftone/search/within_latency.hpp"

#include <algorithm>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "search/budget.hpp"

namespace halftone {

namespace {

/// Scores given plans, in order, within the limits of the problem.
class Listed final : public SearchStrategy {
 public:
  explicit Listed(std::span<const Plan> plans) : plans_(plans) {}
  [[nodiscard]] std::string name() const override { return "within latency"; }

 private:
  void do_search(const SearchProblem& /*problem*/, SearchRun& run) const override {
    for (const Plan& plan : plans_) {
      const auto scored = run.passes(plan, [](bool) { return std::string("within the latency"); });
      if (!scored) return;
    }
  }

  std::span<const Plan> plans_;
};

/// Takes the best of what was scored, here or earlier.
void choose(const SearchProblem& problem, double limit, SearchResult& result) {
  const SearchStep* best = nullptr;
  const auto look_at = [&](std::span<const SearchStep> steps) {
    for (const SearchStep& step : steps)
      if (step.latency <= limit && !step.evaluation.ended_early() &&
          (best == nullptr || step.evaluation.damage < best->evaluation.damage))
        best = &step;
  };
  look_at(problem.known);
  look_at(result.steps);
  if (best == nullptr) return;
  result.best = best->plan;
  result.best_evaluation = best->evaluation;
  result.best_latency = best->latency;
}

}  // namespace

std::vector<std::string> validate(const WithinLatencyOptions& options) {
  std::vector<std::string> violations = validate(options.frontier);
  if (options.most_evaluations < 1)
    violations.push_back(message("most_evaluations is ", options.most_evaluations, ": at least 1 is needed"));
  return violations;
}

WithinLatencyResult search_within_latency(const SearchProblem& problem, Evaluator& evaluator, double limit,
                                          const WithinLatencyOptions& options) {
  require_valid("search within a latency", validate(options));
  if (!problem.predict)
    throw Error(Errc::InvalidArgument, "search within a latency: it needs a metric's sensitivities to predict damage");
  const Plan baseline = Plan::uniform(problem.sites.size(), problem.precisions.front());
  const double slowest = problem.latency.estimate(problem.sites, baseline);
  if (slowest <= limit) return {{.best = baseline, .best_evaluation = {}, .best_latency = slowest}, true};

  const double start = problem.now();
  const auto list =
      predicted_frontier(problem.sites, problem.precisions, problem.latency, problem.predict(), options.frontier);
  const auto first = std::find_if(list.begin(), list.end(), [&](const auto& entry) { return entry.latency <= limit; });
  if (first == list.end())
    return {{.best = list.back().plan, .best_evaluation = {}, .best_latency = list.back().latency}, false};
  SearchProblem listed = problem;
  listed.limits.repairs = 0;
  int& most = listed.limits.most_evaluations;
  most = most == 0 ? options.most_evaluations : std::min(most, options.most_evaluations);
  listed.limits.most_seconds = internal::seconds_left(problem.limits, problem.now() - start);
  std::vector<Plan> plans;
  for (auto entry = first; entry != list.end(); ++entry) plans.push_back(entry->plan);
  const Plan second = Plan::uniform(problem.sites.size(), problem.precisions[1]);
  if (problem.latency.estimate(problem.sites, second) <= limit) plans.insert(plans.begin(), second);
  if (std::ssize(plans) > listed.limits.most_evaluations)
    plans.resize(static_cast<std::size_t>(listed.limits.most_evaluations));
  WithinLatencyResult found{Listed(plans).search(listed, evaluator), true};
  choose(problem, limit, found.search);
  found.is_within = found.search.best_latency <= limit;
  if (!found.is_within) {  // stopped before anything was scored
    found.search.best = first->plan;
    found.search.best_evaluation.reset();
    found.search.best_latency = first->latency;
  }
  return found;
}

}  // namespace halftone
