#include "report/site_table.hpp"

#include <algorithm>
#include <cmath>

#include "halftone/core/error.hpp"
#include "report/text_summary.hpp"

namespace halftone::internal {
namespace {

using Align = TextTable::Align;

/// The precisions that the sensitivity table scores, from highest to lowest; the lowest three, so that the table fits.
std::vector<Precision> scored_precisions(const RunResult& run) {
  std::vector<Precision> scored;
  if (run.sensitivity.scores.size() != run.sites.size()) return scored;
  for (const Precision precision : run.precisions)
    if (run.sensitivity.scores.front().contains(precision)) scored.push_back(precision);
  if (scored.size() > 3) scored.erase(scored.begin(), scored.end() - 3);
  return scored;
}

std::string weight_shape(const Site& site) {
  std::string text;
  for (const auto size : site.weight_shape) text += message(text.empty() ? "" : "x", size);
  return shortened(text, 14);
}

/// One row a site; what is not known has no column.
class SiteTable {
 public:
  explicit SiteTable(const RunResult& run) : run_(run), scored_(scored_precisions(run)) {
    for (const Site& site : run.sites) macs_ += static_cast<double>(site.macs);
    if (run.site_saving.size() == run.sites.size() && run.baseline.predicted_latency > 0)
      for (const double saving : run.site_saving) most_saved_ = std::max(most_saved_, std::abs(saving));
  }

  void add_to(Document& document) const {
    std::vector<Align> align{Align::Left, Align::Left, Align::Left, Align::Right, Align::Right};
    align.insert(align.end(), scored_.size(), Align::Right);
    if (shows_savings()) align.insert(align.end(), {Align::Right, Align::Bar});
    TextTable table(align);
    table.add_head(head());
    for (std::size_t i = 0; i < run_.sites.size(); ++i) table.add(row(i));
    document.table(legend(), table);
  }

 private:
  [[nodiscard]] bool shows_savings() const { return most_saved_ != 0; }

  [[nodiscard]] std::string legend() const {
    std::string text = "Sites in network order. MACs: share of the network's multiply-accumulates.";
    if (!scored_.empty()) text += message(" at …: sensitivity there by ", run_.metric, ", lower is safer.");
    if (scored_.empty() && run_.status != RunStatus::Stopped)
      text += " Sensitivities were not needed: no plan told some sites from others.";
    if (!run_.sensitivity.clamped.empty()) text += std::string(1, ' ') + kClampedLegend;
    if (shows_savings())
      text += message(" saves: what the site alone at 16 bits would cost the plan, as a share of the all-16 latency, ",
                      run_.latency_measured ? "predicted." : "modelled.");
    return text;
  }

  [[nodiscard]] TextTable::Row head() const {
    TextTable::Row head{"site", "kind", "weight", "MACs", "bits"};
    for (const Precision precision : scored_) head.push_back(message("at ", precision));
    if (shows_savings()) head.push_back("saves");
    return head;
  }

  [[nodiscard]] TextTable::Row row(std::size_t i) const {
    const Site& site = run_.sites[i];
    TextTable::Row row{site.name, to_string(site.kind), weight_shape(site),
                       percent(static_cast<double>(site.macs) / macs_, 1), to_string(run_.plan[i])};
    for (const Precision precision : scored_) {
      const auto found = run_.sensitivity.scores[i].find(precision);
      row.push_back(found == run_.sensitivity.scores[i].end()
                        ? "-"
                        : significant(found->second, 3) + (is_clamped(run_.sensitivity, i, precision) ? "*" : ""));
    }
    if (shows_savings()) {
      row.push_back(percent(run_.site_saving[i] / run_.baseline.predicted_latency, 1));
      row.push_back(bar(std::max(0.0, run_.site_saving[i]) / most_saved_, scored_.size() < 3 ? 12 : 6));
    }
    return row;
  }

  const RunResult& run_;
  std::vector<Precision> scored_;
  double macs_ = 0;
  double most_saved_ = 0;  ///< or lost
};

}  // namespace

void add_sites(const RunResult& run, Document& document) { SiteTable(run).add_to(document); }

}  // namespace halftone::internal
