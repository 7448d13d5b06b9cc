#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "cli/command.hpp"
#include "halftone/plan/plan_file.hpp"

/// The network that a command works on: a model under a plan.
namespace halftone::cli {

/// --plan --finished --uniform --calibrate --adjust --range-input --range-weight
struct SubjectOptions {
  std::string plan;
  std::string finished;
  std::string uniform;
  std::string calibrate;
  bool adjust = false;
  RangeChoice ranges;
  const CLI::App* command = nullptr;  ///< that has them
};

void add_subject(CLI::App& command, SubjectOptions& options);

/// The options after they were checked.
struct SubjectRequest {
  std::optional<PlanFile> file{};      ///< --plan
  std::optional<Precision> uniform{};  ///< --uniform; with neither, the float network is asked for
  std::string path{};                  ///< of the plan
  std::string finished{};              ///< file of the weights that the plan's ranges fit; empty: the model's own
  std::string data{};                  ///< --calibrate
  CalibrateOptions calibrate{};
  bool adjust = false;
  std::uint64_t seed = 0;
  std::shared_ptr<const Task> task{};  ///< whose damage --adjust and --range-weight auto go by; top-1 where null
};
SubjectRequest check(const SubjectOptions& options, std::int64_t batch_size, const CommonOptions& common);

/// The model with the sites that the plan names.
LoadedModel load(ModelRequest model, const SubjectRequest& request, const Registry& registry, std::uint64_t seed);

struct Subject {
  Plan plan;
  Calibration calibration;
  std::optional<Model> finished{};  ///< what runs under the plan, where it is not the model
  bool random_ranges = false;       ///< any of them from random inputs

  [[nodiscard]] const Model& network(const LoadedModel& loaded) const { return finished ? *finished : loaded.model; }
};

/// Throws where --calibrate was given and no operand of the network has a range.
void require_calibration_used(const SubjectRequest& request);

/// In place of DATA of --calibrate: inputs drawn at random, right for time, not for accuracy.
inline constexpr const char* kRandomData = "random";

/// Applies the plan and calibrates where that was asked for, for `more` precisions as well. Nothing when stopped.
std::optional<Subject> make_subject(const SubjectRequest& request, const LoadedModel& loaded, const Monitor& monitor,
                                    std::set<Precision> more = {});

/// "plan.json: 4 of 20 sites at 4 bits, 16 at 8 bits", "all 20 sites at 8 bits", "float, as trained".
std::string describe(const SubjectRequest& request, const Plan& plan);

}  // namespace halftone::cli
