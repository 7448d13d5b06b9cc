#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "halftone/adjust/record.hpp"
#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/engine/measure.hpp"
#include "halftone/evaluate/evaluation.hpp"
#include "halftone/evaluate/gate.hpp"
#include "halftone/graph/site_rules.hpp"
#include "halftone/search/search.hpp"
#include "halftone/sensitivity/table.hpp"

namespace halftone {

enum class RunStatus {
  Met,      ///< the plan passes the gate
  Missed,   ///< no plan passes; the best found is returned
  Stopped,  ///< the user asked to stop, or a budget was spent; the best plan so far is returned
};

const char* to_string(RunStatus status);

/// One part of the data, as it was used.
struct DataPart {
  std::string name;
  std::string digest;
  std::int64_t samples = 0;
};

/// A plan's score and latency.
struct PlanFigures {
  Evaluation evaluation;
  double predicted_latency = 0;        ///< by the latency model, in its unit
  std::optional<Evaluation> report{};  ///< on the report part, scored once
};

/// The engine that a run used.
struct EngineUsed {
  std::string name;
  std::string version;
  int threads = 1;         ///< of a network that is timed
  std::string float_type;  ///< of what it does not run in integers: "bf16" or "f32"

  /// "openvino 2026.4.1"
  [[nodiscard]] std::string full_name() const { return name + ' ' + version; }
};

/// Networks timed end to end in an engine, side by side.
struct EngineTimes {
  std::int64_t batch = 1;
  double load = 0;                        ///< of the machine meanwhile
  bool precise = false;                   ///< whether every median is known as well as was asked
  Timing baseline;                        ///< all sites at 16 bits
  Timing plan;                            ///< the result
  std::map<std::string, Timing> uniform;  ///< by precision, for all sites at that precision
};

/// What the search for one gate led to.
struct TargetResult {
  Gate gate;
  RunStatus status = RunStatus::Missed;
  Plan plan;
  PlanFigures figures;
  std::optional<Timing> measured{};  ///< where finalists were timed
  std::vector<Decision> decisions;   ///< in order; plans may have been scored for an earlier gate
  std::string unsearched{};          ///< why no search was made for it, in words; empty where one was
};

/// A latency that a plan must not exceed.
struct LatencyTarget {
  double limit = 0;   ///< in the latency model's unit; or
  double change = 0;  ///< against all sites at 16 bits: -0.3 is 30 % less. One of the two is 0.

  /// The limit where all sites at 16 bits take `baseline`.
  [[nodiscard]] double limit_beside(double baseline) const { return change != 0 ? (1 + change) * baseline : limit; }
};

/// "2 ms" or "-30 %".
std::string to_string(const LatencyTarget& target, const std::string& unit);

/// Scores on some of the validation samples, made as all others are.
struct ScoresOnSome {
  Evaluation baseline;
  Evaluation plan;
};

/// The plan scored the other way: simulated where it was scored in an engine, and vice versa.
struct OtherScore {
  std::string scored_in;  ///< "simulation", or an engine with its version
  Evaluation evaluation;
  std::optional<ScoresOnSome> same_samples{};  ///< where `evaluation` is not of all samples
};

/// What 8 bits do to the activation that a site reads, on the calibration data.
struct ActivationFigures {
  double peak = 0;   ///< largest magnitude by root mean square; 0 where unknown
  double error = 0;  ///< mean squared error by mean square, in [0, 1] but for odd ranges; 0 where unknown
};

/// Everything a run found out, with what is needed to repeat it. Plain values; holds no tensor.
struct RunResult {
  RunStatus status = RunStatus::Missed;
  std::map<std::string, std::string> model_options;  ///< as given: "input", "mean", "rename" …
  std::string model;                                 ///< as given
  std::string model_digest;
  std::vector<Site> sites;
  Plan plan;
  Calibration calibration;
  std::optional<Calibration> finished_ranges{};  ///< of `plan`, where the result is a network fine-tuned to it

  Gate gate;                                      ///< the strictest asked for: `plan` is the one found for it
  std::vector<TargetResult> looser;               ///< for the other gates asked for, loosest first
  std::optional<LatencyTarget> latency_target{};  ///< in place of a gate: `plan` does least damage within it
  SearchLimits limits;
  std::string stop_reason;  ///< where the status is `Stopped`, in words: "on request"
  std::string task;
  std::string metric;
  std::string sensitivity_file;  ///< that sensitivities were read from; empty where they were measured
  std::string order;             ///< how sites were ordered by the metric
  std::string search;
  std::vector<Precision> precisions;
  std::vector<AppliedRule> rules{};  ///< that every plan obeys, those for all sites at one precision too
  std::uint64_t seed = 0;
  int threads = 1;
  std::int64_t batch_size = 1;  ///< samples evaluated together; does not change figures
  std::string range_input;      ///< range methods
  std::string range_weight;
  std::string adjust_ranges;                       ///< when: "none", "search", "final", "both"
  std::vector<WeightMethodChoice> weight_methods;  ///< where `range_weight` is "auto"
  std::vector<RangeAdjustment> adjustments;        ///< in the order they were made
  std::optional<FinishRecord> finishing{};         ///< where the network was fine-tuned to the plan

  std::string latency_model;   ///< e.g. "roofline:a100"
  std::string latency_origin;  ///< where its figures come from, and that they are modelled where they are
  std::string latency_unit;
  bool latency_measured = false;               ///< whether it is predicted from measurements of this network
  std::int64_t latency_batch = 0;              ///< samples that one latency is of; 0 where unknown
  std::vector<ActivationFigures> activations;  ///< by site; empty where 8 bits were no choice
  std::vector<double> site_saving;  ///< predicted: what the plan would lose by each site alone at 16 bits; may be empty

  Evaluation float_score;                         ///< the network as trained, on the validation part
  PlanFigures baseline;                           ///< all sites at 16 bits
  PlanFigures result;                             ///< the plan
  std::map<std::string, double> uniform_latency;  ///< predicted, by precision, for all sites at that precision

  std::string scored_in;  ///< where scores come from: "simulation", or an engine with its version
  std::optional<OtherScore> other_score{};
  std::optional<EngineUsed> engine{};
  std::optional<EngineTimes> measured{};  ///< where there is an engine
  std::vector<std::string> notes;         ///< what to know about how the plan was chosen, in sentences

  SensitivityTable sensitivity;
  std::vector<SearchStep> steps;    ///< every plan scored, once
  std::vector<Decision> decisions;  ///< of the search for `gate`, in order
  std::string unsearched;           ///< why no search was made for `gate`, in words; empty where one was

  DataPart calibration_data;
  DataPart validation_data;
  std::optional<DataPart> report_data;
  std::optional<DataPart> training_data{};  ///< that fine-tuning was given

  double forward_passes = 0;  ///< over a whole data part; passes over a part of the network by their share
  double backward_passes = 0;
  std::vector<std::pair<std::string, double>> seconds;  ///< by stage, in order
  std::map<std::string, std::string> environment;       ///< versions and machine
};

/// `looser` and, last, the run's own result.
std::vector<TargetResult> all_targets(const RunResult& run);

/// What the plan for a looser gate is called beside plan.json: "plan-keep-95.json", "plan-confidence-99.json",
/// "plan-damage-0.1.json".
std::string plan_file_name(const Gate& gate);

/// run.json; see docs/guide for its fields. Two runs with one seed differ in nothing but times: fields named "seconds",
/// and what was measured in an engine.
nlohmann::json to_run_json(const RunResult& result);

/// What a person wants to know, in plain text of at most 100 columns.
std::string text_report(const RunResult& result);

/// The first part of `text_report`: outcome, scores, latency, size, and what to be wary of.
std::string text_summary(const RunResult& result);

/// Writes plan.json, a plan file for each looser gate, run.json, report.txt and report.html into `directory`, each as a
/// whole or not at all. Plan files of looser gates that an earlier run.json there lists go.
void write_run(const RunResult& result, const std::string& directory);

}  // namespace halftone
