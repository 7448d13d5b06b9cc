#pragma once

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/core/digest.hpp"
#include "halftone/distributed/team.hpp"
#include "halftone/evaluate/plan_evaluator.hpp"
#include "halftone/graph/site_units.hpp"
#include "halftone/latency/measure_latency.hpp"
#include "halftone/quantize.hpp"

namespace halftone::internal {

/// What a run was asked for, with all defaults filled in. Borrows model, data and monitor.
struct Setup {
  /// Throws as `quantize` for what does not fit together.
  Setup(const Model& model, const QuantizeData& data, const QuantizeOptions& options, const QuantizeParts& parts,
        const Monitor& monitor, Team* team = nullptr, const Finishing* finishing = nullptr);

  const Model& model;
  const QuantizeData& data;
  QuantizeOptions options;
  QuantizeParts parts;      ///< `latency` is null until it is measured
  const Monitor& monitor;   ///< in a team, as all agreed
  Team* team;               ///< null: this process alone
  std::vector<Gate> gates;  ///< loosest first; one that all pass where there is a latency target
  bool measures_latency = false;
  bool deployed = false;                       ///< where plans are scored
  FloatType float_type = FloatType::BFloat16;  ///< of what the engine does not run in integers
  std::string model_digest;
  std::optional<SiteUnits> units{};      ///< where there are rules
  const Finishing* finishing = nullptr;  ///< null: none was asked for

  [[nodiscard]] Plan baseline() const { return Plan::uniform(model.sites.size(), k16); }
  [[nodiscard]] std::string engine_name() const { return parts.engine->name() + ' ' + parts.engine->version(); }
  /// All sites at `precision`, as far as the rules allow.
  [[nodiscard]] Plan uniform(Precision precision) const;
  /// Predicted; 0 until it is known.
  [[nodiscard]] double latency(const Plan& plan) const {
    return parts.latency ? parts.latency->estimate(model.sites, plan) : 0;
  }
  /// Whether `plan` has none but the precisions asked for, and obeys the rules.
  [[nodiscard]] bool is_allowed(const Plan& plan) const;

  /// Seconds since some moment, the same on all ranks.
  [[nodiscard]] double now() const;
  /// JSON that one process makes for all of a team, such as what is timed on an otherwise idle machine. It is given a
  /// monitor of its own; null where it was stopped: then throws `Stopped`.
  [[nodiscard]] nlohmann::json from_first(const char* what,
                                          const std::function<nlohmann::json(const Monitor&)>& make) const;
  /// Throws where the ranks of a team do not agree on program, machine, network, data and options.
  void require_same_everywhere() const;

  [[nodiscard]] MeasureLatencyOptions latency_options() const;
  [[nodiscard]] EvaluatorOptions evaluator_options() const;
  /// What every result depends on: program, machine, network with its sites, and task.
  [[nodiscard]] Digest fingerprint() const;
  /// Of `network`, which is the model or has other weights. Borrows both.
  [[nodiscard]] std::unique_ptr<PlanRunner> make_runner(bool in_engine, const Model& network,
                                                        const Calibration& calibration) const;
  /// All that a plan's scores on data of `data_digest` depend on but the plan.
  [[nodiscard]] std::string scoring_fingerprint(bool in_engine, const Calibration& calibration,
                                                const std::string& data_digest) const;
};

}  // namespace halftone::internal
