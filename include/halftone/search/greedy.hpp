#pragma once

#include "halftone/search/search.hpp"

namespace halftone {

/// One site after the other, safest first, one precision after the other: a site stays lowered where the plan passes.
/// All sites at the second precision come first (often that passes: one evaluation). Sites that lose too much at one
/// precision are left out at the next. At most L + 1 evaluations per precision, and one. Source: one of the two
/// searches of arXiv 2302.01382; docs/methods.md, section 5.
class Greedy final : public SearchStrategy {
 public:
  [[nodiscard]] std::string name() const override { return "greedy"; }
  [[nodiscard]] std::size_t most_evaluations(std::size_t sites, std::size_t precisions) const override {
    return (sites + 1) * (precisions - 1) + 1;
  }

 private:
  void do_search(const SearchProblem& problem, SearchRun& run) const override;
};

}  // namespace halftone
