#include "report/activations.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "halftone/core/error.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

namespace halftone::internal {

ActivationsReport activations_report(const RunResult& run) {
  constexpr std::size_t kMostRows = 8;
  if (run.activations.size() != run.sites.size()) return {};
  const auto figures_of = [&](std::size_t site) {
    return std::pair(run.activations[site].peak, run.activations[site].error);
  };
  std::vector<std::size_t> worst;  // of sites that read one tensor, which have the same figures, the first
  std::map<std::pair<double, double>, std::size_t> readers;
  for (std::size_t site = 0; site < run.sites.size(); ++site)
    if (++readers[figures_of(site)] == 1 && run.activations[site].error > 0) worst.push_back(site);
  if (worst.empty()) return {};
  const std::size_t inputs = worst.size();
  std::stable_sort(worst.begin(), worst.end(),
                   [&](std::size_t a, std::size_t b) { return run.activations[a].error > run.activations[b].error; });
  worst.resize(std::min(inputs, kMostRows));
  ActivationsReport report;
  report.caption =
      message("Activations at 8 bits, ",
              inputs > kMostRows ? message("the ", kMostRows, " of ", inputs, " that lose most") : "worst first",
              ". lost: share of their energy that rounding and clipping take, on the calibration data; about 0.01 % "
              "where values "
              "are normally distributed, more where few are far larger than most. peak: largest magnitude, in root "
              "mean squares.");
  report.head = {"input of", "peak", "lost", "bits"};
  const bool scored = run.sensitivity.scores.size() == run.sites.size() && run.sensitivity.scores.front().contains(k8);
  if (scored) {
    report.caption += message(" at 8: sensitivity of the site by ", run.metric, '.');
    report.head.push_back("at 8");
  }
  for (const std::size_t site : worst) {
    const ActivationFigures& figures = run.activations[site];
    const std::size_t others = readers[figures_of(site)] - 1;
    std::vector<std::string> row{run.sites[site].name + (others > 0 ? message(" and ", others, " more") : ""),
                                 significant(figures.peak, 3), significant(100 * figures.error, 2) + " %",
                                 to_string(run.plan[site])};
    if (scored) row.push_back(significant(run.sensitivity.scores[site].at(k8), 3));
    report.rows.push_back(std::move(row));
  }
  return report;
}

}  // namespace halftone::internal
