// A search of one's own: from all sites at the lowest precision, the most sensitive half goes back up until a plan
// passes.
#include <iostream>

#include "halftone/search/search.hpp"
#include "halftone/testing/check_search.hpp"

// [readme]
class Raise final : public halftone::SearchStrategy {
 public:
  [[nodiscard]] std::string name() const override { return "raise"; }

 private:
  void do_search(const halftone::SearchProblem& problem, halftone::SearchRun& run) const override {
    const halftone::Plan baseline = halftone::Plan::uniform(problem.sites.size(), problem.precisions.front());
    std::vector<std::size_t> sites(baseline.size());
    for (std::size_t i = 0; i < sites.size(); ++i) sites[i] = i;
    const halftone::Precision target = problem.precisions.back();
    const halftone::Ordering order = problem.order(baseline, target, sites);  // safest first
    for (std::size_t lowered = sites.size(); lowered > 0; lowered /= 2) {
      halftone::Plan plan = baseline;
      for (std::size_t k = 0; k < lowered; ++k) plan[order[k]] = target;
      const std::optional<bool> passed =
          run.passes(plan, [](bool verdict) { return verdict ? "done" : "half as many"; });
      if (!passed || *passed) return;  // nothing: asked to stop
    }
  }
};
// [readme]

int main() {
  const auto violations = halftone::testing::check_search(Raise());
  for (const std::string& violation : violations) std::cerr << violation << '\n';
  std::cout << (violations.empty() ? "keeps the rules\n" : "breaks rules\n");
  return violations.empty() ? 0 : 1;
}
