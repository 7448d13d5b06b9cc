#include "report/frontier.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace halftone::internal {

std::vector<std::size_t> frontier(const RunResult& run) {
  std::vector<std::size_t> steps(run.steps.size());
  std::iota(steps.begin(), steps.end(), std::size_t{0});
  std::erase_if(steps, [&](std::size_t i) { return run.steps[i].evaluation.ended_early(); });
  const auto rank = [&](std::size_t i) { return std::tuple(run.steps[i].latency, -run.steps[i].evaluation.score, i); };
  std::sort(steps.begin(), steps.end(), [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });
  std::vector<std::size_t> best;
  for (const std::size_t i : steps) {
    const double score = run.steps[i].evaluation.score;
    const bool is_slow = run.steps[i].latency >= run.baseline.predicted_latency;
    if (is_slow && score <= run.baseline.evaluation.score) continue;
    if (best.empty() || score > run.steps[best.back()].evaluation.score) best.push_back(i);
  }
  return best;
}

}  // namespace halftone::internal
