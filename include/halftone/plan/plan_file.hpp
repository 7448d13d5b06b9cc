#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/graph/site.hpp"

namespace halftone {

/// A plan with the ranges it runs with: all that is needed to apply it to the model again. On disk:
///   {"version": 1, "model_digest": "…", "sites": [{"name": "conv1", "kind": "conv", "precision": "8",
///    "weight_range": {"8": [0.51, …]}, "input_range": {"8": [-2.1, 2.6]}}, …]}
/// and "finished_digest" behind the other where it fits that network's weights after fine-tuning.
/// Ranges are kept for every calibrated width, so that a precision can be edited by hand.
struct PlanFile {
  struct Entry {
    std::string name;
    std::string kind;
    Precision precision;
    SiteRanges ranges;
  };

  std::string model_digest;
  std::vector<Entry> sites;
  std::string finished_digest{};  ///< of the fine-tuned network that the ranges are for; empty: the model itself
  std::string path{};             ///< that it was read from, for messages; empty for one that was made
};

PlanFile make_plan_file(std::span<const Site> sites, const Plan& plan, const Calibration& calibration,
                        std::string model_digest);

/// JSON, one site a line.
std::string to_text(const PlanFile& file);

/// Throws `NotFound` or `BadFile` naming the file, the site and the field.
PlanFile read_plan_file(const std::filesystem::path& path);

/// The plan for `sites`, in their order, without its ranges. Throws `BadFile` where the file was made for another model
/// (its digest differs), or sites are missing, unknown, repeated or of another kind.
Plan apply_precisions(const PlanFile& file, std::span<const Site> sites, const std::string& model_digest);

/// The plan and its ranges. Throws `BadFile` as `apply_precisions`, and where a precision lacks its range, a weight
/// range does not fit the weight's channels, or two sites that read one tensor disagree about its range.
struct AppliedPlan {
  Plan plan;
  Calibration calibration;
};
AppliedPlan apply_plan_file(const PlanFile& file, std::span<const Site> sites, const std::string& model_digest);

}  // namespace halftone
