#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "halftone/core/monitor.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/evaluate/evaluation.hpp"
#include "halftone/evaluate/gate.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

class Team;

struct EvaluatorOptions {
  Gate gate{};
  std::int64_t batch_size = 16;
  int threads = 1;
  /// Whether `evaluate` ends once no score of the samples left could let the plan pass the gate. The verdict is that of
  /// all samples, exactly; plans that pass are scored on all.
  bool early_stop = false;
  /// Ranks that score together, each its share of the batches; all call alike and get the same figures, those of one
  /// process. Borrowed; null: this process alone.
  Team* team = nullptr;
};

std::vector<std::string> validate(const EvaluatorOptions& options);

/// One forward pass: inputs [n, …] with n up to the batch size, outputs likewise. May be called in parallel.
using NetworkFn = std::function<std::vector<at::Tensor>(std::span<const at::Tensor> inputs)>;

/// Runs one network under any plan: simulated, or in an engine.
class PlanRunner {
 public:
  virtual ~PlanRunner() = default;

  /// Where it runs, for people: "simulated in LibTorch", "openvino".
  [[nodiscard]] virtual std::string name() const = 0;
  /// The network under `plan`, valid until the next call; under null the float network, as trained. Throws
  /// `InvalidArgument` where ranges are missing that `plan` needs.
  virtual NetworkFn prepare(const Plan* plan) = 0;
};

/// Scores plans on `data`, in a fixed order: that of the data (the shortest first, where they differ), or with early
/// stop the most fragile samples first. The
/// figures, and where a pass ends, are the same for any number of threads where the runner's are. Borrows data and
/// task.
class PlanEvaluator : public Evaluator {
 public:
  PlanEvaluator(std::unique_ptr<PlanRunner> runner, const Dataset& data, const Task& task,
                const EvaluatorOptions& options = {}, const Monitor& monitor = {});
  /// Compares with what `reference` measured, on the same data, scored alike but without early stop: no baseline of its
  /// own. On at most `most_samples` of the data, at even distances; on all where outputs cannot be told apart by sample
  /// or are scored together. `float_score` stays that of all.
  PlanEvaluator(std::unique_ptr<PlanRunner> runner, const PlanEvaluator& reference,
                std::int64_t most_samples = std::numeric_limits<std::int64_t>::max());
  ~PlanEvaluator() override;

  /// Runs the float network, then `baseline`; must come before `evaluate`. Two forward passes over the data.
  /// Gives nothing when stopped.
  std::optional<Evaluation> measure_baseline(const Plan& baseline);

  /// The float network's own score; damage 0 by definition. Valid after `measure_baseline`.
  [[nodiscard]] const Evaluation& float_score() const;
  [[nodiscard]] const Evaluation& baseline() const;

  /// One forward pass over the data, or with early stop a part of one.
  std::optional<Evaluation> evaluate(const Plan& plan) override;
  /// One forward pass over all of the data.
  std::optional<Evaluation> evaluate_fully(const Plan& plan);

  /// Judges by `gate` from now on.
  void set_gate(const Gate& gate);

  [[nodiscard]] std::int64_t samples_scored() const;  ///< in all passes so far, those of the baseline included
  [[nodiscard]] double forward_passes() const;        ///< the same in passes over the whole data

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace halftone
