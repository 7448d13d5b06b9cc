#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/adjust/adjust_ranges.hpp"
#include "halftone/adjust/finisher.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/distributed/communicator.hpp"
#include "halftone/engine/engine.hpp"
#include "halftone/evaluate/gate.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/graph/model.hpp"
#include "halftone/graph/site_rules.hpp"
#include "halftone/latency/latency_model.hpp"
#include "halftone/order/ordering.hpp"
#include "halftone/report/run_result.hpp"
#include "halftone/search/search.hpp"
#include "halftone/sensitivity/metric.hpp"

namespace halftone {

/// The three parts of the data. The report part is seen by nothing but the final score.
struct QuantizeData {
  const Dataset& calibration;
  const Dataset& validation;
  const Dataset* report = nullptr;  ///< may be absent
};

/// The exchangeable pieces; the default stands in for each one that is null.
struct QuantizeParts {
  std::shared_ptr<const Task> task{};                 ///< top-1
  std::shared_ptr<const SensitivityMetric> metric{};  ///< inter-layer
  std::optional<OrderMethod> order{};                 ///< "nested" where the metric gives pairs, else "gain"
  std::shared_ptr<const SearchStrategy> search{};     ///< bisection
  /// Runs the network for real: measures latency, where `latency` is null, and scores plans as they ship.
  std::shared_ptr<const Engine> engine{};
  std::shared_ptr<const LatencyModel> latency{};  ///< measured in `engine`; without one the roofline of an NVIDIA A100
};

/// Where plans are scored.
enum class Scoring {
  Automatic,  ///< in the engine where there is one
  Simulated,  ///< in LibTorch, operands quantized and back
  Deployed,   ///< in the engine
};

/// Of which plans ranges are adjusted by gradient descent, on the calibration data.
enum class RangeAdjusting {
  None,
  Search,  ///< of all sites at each precision to choose from, before anything is scored
  Final,   ///< of the plan found; kept where it still passes and its damage on the validation data is less
  Both,
};

const char* to_string(RangeAdjusting adjusting);
/// Reads "none", "search", "final", "both".
RangeAdjusting parse_range_adjusting(const std::string& text);

struct QuantizeOptions {
  double keep = 0.999;      ///< share of the all-16 baseline's score to keep, in (0, 1]: a point gate
  std::vector<Gate> gates;  ///< in place of `keep`; with several there is a plan for each, which share all other work
  std::optional<LatencyTarget> latency_target{};  ///< in place of both: the plan that does least damage within it
  SearchLimits limits{};
  std::vector<Precision> precisions{k16, k8, k4};
  /// Sites that share a precision, or are not to be lowered as far as others. Every plan obeys them, those that stand
  /// for "all sites at 8 bits" too: as many sites at 8 as the rules allow.
  std::vector<SiteRule> rules{};
  RangeOptions input_range{.method = RangeMethod::MeanSquaredError};
  RangeOptions weight_range{.method = RangeMethod::Automatic};
  RangeAdjusting adjust_ranges = RangeAdjusting::None;
  std::int64_t sense_samples = 256;  ///< calibration samples at most that sensitivities are measured on
  AdjustOptions adjust{};            ///< batch size, threads and seed are those given here
  std::int64_t batch_size =
      16;           ///< samples run together; what is drawn by batches (fisher, hessian, adjusting) follows it
  int threads = 0;  ///< 0: one per core; figures do not depend on it
  std::uint64_t seed = 0;
  Scoring scoring = Scoring::Automatic;
  /// Validation samples at most, at even distances, on which the plan is simulated where plans are scored in an engine,
  /// and the other way round; 0: none.
  std::int64_t compare_samples = 512;
  std::int64_t latency_batch = 1;         ///< samples that a measured latency is of
  int latency_threads = 1;                ///< that a measured network uses
  std::filesystem::path latency_cache{};  ///< folder of earlier measurements; none where empty
  /// File in which finished work is kept, and found by a run that goes on where this one was cut short: calibration,
  /// sensitivities, evaluations, latencies, under fingerprints of all they depend on, the program that runs among them.
  /// One process at a time. None where empty.
  std::filesystem::path journal{};
  /// In which an engine runs what does not compute in integers; where none is given, bfloat16 if this machine has it,
  /// else float32.
  std::optional<FloatType> float_type{};
  /// Ranks that do this run together: all call `quantize` alike, and each gets the result that one process would, but
  /// for times. Calibration, sensitivities and scores are split among them by batches of samples; latency is measured
  /// on rank 0 while the others wait, and rank 0 alone keeps the journal. Borrowed; null: this process alone.
  Communicator* communicator = nullptr;
};

std::vector<std::string> validate(const QuantizeOptions& options);

/// Finds the precision of every site, under the rules given: calibrates, adjusts ranges where that was asked for,
/// measures latency where there is an engine, searches, scores sensitivities once the search asks for an ordering,
/// times the finalists end to end, and scores the plan once more on the report part. The plan returned was itself
/// evaluated and passed, or is the baseline; only where the status is `Missed` it did not pass. With measured latency,
/// unless stopped before, it is also the fastest of the finalists as measured: never slower than all sites at one of
/// `precisions`, where that passes. `model` must be prepared. A stop request, at any stage, returns the best plan so
/// far: all-16, with no samples scored, where the baseline was not reached. Cost in forward passes: one over the
/// calibration data, what `choose_weight_method`, `adjust_ranges` and, where it is needed, the metric say, two over the
/// validation data, one more per evaluated plan; with an engine one more, and where a faster finalist has to be scored.
RunResult quantize(const Model& model, const QuantizeData& data, const QuantizeOptions& options = {},
                   const QuantizeParts& parts = {}, const Monitor& monitor = {});

/// Fine-tuning of the plan found. Borrows both.
struct Finishing {
  const Dataset& training;  ///< has no sample of the validation data or the report part
  const Finisher& finisher;
};

struct FinishedRun {
  RunResult run;
  std::optional<Model> finished{};  ///< with the weights that `run.plan` is scored with, where they are not the model's
};

/// `quantize`, and before the plan is scored on the report part the network is fine-tuned to it, from the ranges that
/// it has then. The finished network is scored on the validation data, where all plans are, and is the result only
/// where what the gate judges by is better (the score; of a damage gate and a latency target the damage), and where it
/// passes if the plan passed before. Baselines are those of the network as it was. Plans for looser gates stay as they
/// are. Latency is not measured again: it does not depend on the values of weights. The journal keeps nothing of it.
/// Cost beside that of `quantize`: what the finisher says, and one pass over the validation data. Throws
/// `InvalidArgument` where the training data is the validation data or the report part.
FinishedRun quantize_and_finish(const Model& model, const QuantizeData& data, const Finishing& finishing,
                                const QuantizeOptions& options = {}, const QuantizeParts& parts = {},
                                const Monitor& monitor = {});

}  // namespace halftone
