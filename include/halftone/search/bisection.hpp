#pragma once

#include "halftone/search/search.hpp"

namespace halftone {

/// Bisection over the ordering, one precision after the other. All sites at the second precision come first (often that
/// passes: one evaluation); else the longest passing prefix is bisected. Each further precision is bisected over the
/// sites that were not found to lose too much before. Sites that gain no latency at a precision, on their own or beside
/// lowered neighbours, are left alone there. Accuracy need not fall along a prefix, so the prefix found is a passing
/// one, not always the longest: `probes` longer ones are tried after it, one site more each. At most
/// ceil(log2(L + 1)) + probes evaluations per precision, plus one. The ordering is asked for only where not all sites
/// are lowered alike. Source: docs/methods.md, section 5.
class Bisection final : public SearchStrategy {
 public:
  explicit Bisection(int probes = 0) : probes_(probes) {}

  [[nodiscard]] std::string name() const override { return "bisection"; }
  [[nodiscard]] std::size_t most_evaluations(std::size_t sites, std::size_t precisions) const override;

 private:
  void do_search(const SearchProblem& problem, SearchRun& run) const override;

  int probes_;
};

}  // namespace halftone
