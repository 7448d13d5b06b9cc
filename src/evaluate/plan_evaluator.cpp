#include "halftone/evaluate/plan_evaluator.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <utility>

#include "data/shared_batches.hpp"
#include "evaluate/non_finite.hpp"
#include "evaluate/sample_scores.hpp"
#include "evaluate/visiting_order.hpp"
#include "graph/device.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"

namespace halftone {

namespace {

using Clock = std::chrono::steady_clock;
using internal::BatchRange;
using internal::SampleScores;

/// By sample, in the order in which they are visited.
using Results = std::vector<double>;

void store(Results& results, const BatchRange& batch, const at::Tensor& values) {
  const at::Tensor copy = values.to(at::kCPU).contiguous();
  std::copy_n(copy.const_data_ptr<double>(), copy.numel(), results.begin() + batch.begin);
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string plan_digest(const Plan& plan) { return Digest().add(to_string(plan)).hex(); }

/// "12 sites at 8, 7 at 4".
std::string describe(const Plan& plan) {
  std::map<Precision, int, std::greater<>> counts;
  for (const Precision precision : plan.precisions) ++counts[precision];
  std::string text;
  for (const auto& [precision, count] : counts)
    text += message(text.empty() ? "" : ", ", count, text.empty() ? " sites at " : " at ", precision);
  return text;
}

/// What is said of the baseline next to itself.
void set_certain(Evaluation& baseline) {
  baseline.score_span = 0;
  if (baseline.score != 0 && !baseline.ended_early()) baseline.interval = {1, 1};
}

/// What plans are compared with; the same for every evaluator that takes it over.
struct Reference {
  std::vector<std::int64_t> order;  ///< in which samples are visited
  internal::Outputs clean{};        ///< of the float network, in batches of `order`
  std::vector<double> scores{};     ///< of the baseline, by sample
  std::vector<double> damages{};    ///< likewise
  Evaluation float_score{};
  Evaluation baseline{};

  void keep_baseline(const SampleScores& of, const std::string& digest, const Gate& gate) {
    scores = of.scores();
    damages = of.damages();
    baseline = of.compare(scores);
    baseline.plan_digest = digest;
    set_certain(baseline);
    baseline.passed = gate.passes(baseline, baseline);
  }
};

/// Whether the scores so far are enough to end a pass.
using EnoughFn = std::function<bool(const SampleScores&)>;

}  // namespace

std::vector<std::string> validate(const EvaluatorOptions& options) {
  std::vector<std::string> violations = validate(options.gate);
  if (options.batch_size < 1)
    violations.push_back(message("batch_size is ", options.batch_size, ": at least 1 is needed"));
  if (options.threads < 1) violations.push_back(message("threads is ", options.threads, ": at least 1 is needed"));
  return violations;
}

struct PlanEvaluator::State {
  std::unique_ptr<PlanRunner> runner;
  std::shared_ptr<const Dataset> data;
  const Task& task;
  EvaluatorOptions options;
  Monitor monitor;

  std::shared_ptr<Reference> reference{};  ///< null until the baseline was measured
  bool is_own_baseline = false;            ///< of this runner, not of another evaluator's
  std::int64_t scored = 0;
  int plans = 0;

  void check_task(const NetworkFn& network) const {
    const at::NoGradGuard no_gradient;
    const Batch batch = data->range(0, std::min(options.batch_size, data->size()));
    task.check(network(batch.inputs), *data);
  }

  void require_finite(const std::vector<at::Tensor>& outputs, std::span<const std::int64_t> samples,
                      const Plan* plan) const {
    const auto found = internal::find_non_finite(outputs);
    if (!found) return;
    throw Error(Errc::NonFinite,
                message("output ", found->output, " of the ", plan == nullptr ? "float network" : "quantized network",
                        " is NaN or infinite for sample ", samples[static_cast<std::size_t>(found->sample)], " of ",
                        data->name(),
                        plan == nullptr ? message(": check this sample and the network's weights")
                                        : message(" with ", describe(*plan), ": check the ranges of these sites")));
  }

  /// One pass over the data, or as much of it as is `enough`; `plan` null is the float network, which fills `clean`,
  /// and every other is compared with it. What other threads did beyond the batch that was enough is dropped. Nothing
  /// when stopped.
  std::optional<SampleScores> pass(const NetworkFn& network, const Plan* plan, Reference& kept,
                                   const std::string& detail, const EnoughFn& enough = {}) {
    const internal::BatchLoop loop{data->size(), options.batch_size, options.threads, "evaluate", detail};
    const bool together = task.scores_together();
    Results score(kept.order.size(), std::numeric_limits<double>::infinity());
    Results damage(kept.order.size());
    std::vector<at::Tensor> parts(together ? static_cast<std::size_t>(loop.batches()) : 0);
    // Scores, and behind them damages, or of the float network its outputs.
    const auto make = [&](const BatchRange& batch, std::size_t) -> std::optional<internal::BatchResult> {
      const auto visited = samples_of(batch, kept.order);
      const Batch samples = data->get(visited);
      auto outputs = network(samples.inputs);
      require_finite(outputs, visited, plan);
      internal::BatchResult result{task.score(outputs, samples.targets)};
      if (plan == nullptr) {
        result.insert(result.end(), outputs.begin(), outputs.end());
      } else {
        auto& clean = kept.clean[static_cast<std::size_t>(batch.index)];
        clean = internal::move_to(outputs.front().device(), std::move(clean));  // another rank's came to the CPU
        result.push_back(task.damage(outputs, clean));
      }
      return result;
    };
    const auto take = [&](const BatchRange& batch, internal::BatchResult result) {
      if (together)
        parts[static_cast<std::size_t>(batch.index)] = result.front().to(at::kCPU);
      else
        store(score, batch, result.front());
      if (plan != nullptr)
        store(damage, batch, result.back());
      else
        kept.clean[static_cast<std::size_t>(batch.index)].assign(result.begin() + 1, result.end());
    };
    SampleScores scores(kept.order.size(), task.score_range());
    constexpr std::int64_t kMostChecks = 256;  // each goes over all samples
    const std::int64_t stride = std::max<std::int64_t>(1, loop.batches() / kMostChecks);
    const auto settled = [&](const BatchRange& batch) {
      for (auto i = static_cast<std::size_t>(batch.begin); i < static_cast<std::size_t>(batch.end); ++i)
        scores.add(static_cast<std::size_t>(kept.order[i]), score[i], damage[i]);
      return batch.index % stride == 0 && batch.end < loop.samples && enough && enough(scores);
    };
    if (plan == nullptr) kept.clean.resize(static_cast<std::size_t>(loop.batches()));
    if (!internal::share_batches(options.team, "scoring " + detail, loop, monitor, make, take, settled))
      return std::nullopt;
    scored += scores.scored();
    if (together && scores.scored() == data->size()) scores.set_scores(scores_of(at::cat(parts), kept.order));
    return scores;
  }

  /// `parts` are in `order`.
  [[nodiscard]] std::vector<double> scores_of(const at::Tensor& parts, std::span<const std::int64_t> order) const {
    const at::Tensor places = at::tensor(at::ArrayRef<std::int64_t>(order.data(), order.size()), at::kLong);
    const at::Tensor scores = task.score_all(at::empty_like(parts).index_copy_(0, places, parts), data->targets());
    const at::Tensor copy = scores.to(at::kCPU).contiguous();
    return {copy.const_data_ptr<double>(), copy.const_data_ptr<double>() + copy.numel()};
  }

  static std::span<const std::int64_t> samples_of(const BatchRange& batch, std::span<const std::int64_t> order) {
    return order.subspan(static_cast<std::size_t>(batch.begin), static_cast<std::size_t>(batch.end - batch.begin));
  }

  /// From the order of the data to most fragile first, where all outputs can be told apart by sample and samples have
  /// one shape.
  void reorder(Reference& kept) const {
    if (!data->lengths().empty() || task.scores_together() ||
        !internal::are_batched(kept.clean, options.batch_size, data->size()))
      return;
    const at::Tensor targets = data->targets();
    auto parts = std::vector<at::Tensor>(kept.clean.size());
    if (targets.defined()) parts = targets.split(options.batch_size);
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = task.fragility(kept.clean[i], parts[i]).to(at::kCPU);
    kept.order = internal::most_fragile_first(at::cat(parts));
    kept.clean = internal::in_order(std::move(kept.clean), kept.order, options.batch_size);
  }

  /// To samples at even distances, visited in the order of the data.
  void restrict_to(std::int64_t most) {
    const std::int64_t size = data->size();
    const Reference& all = *reference;
    if (most >= size || task.scores_together() || !internal::are_batched(all.clean, options.batch_size, size)) return;
    auto some = std::make_shared<Reference>();
    std::vector<std::int64_t> positions;
    const auto samples = spread_indices(size, most, data->group());
    SampleScores scores(samples.size(), task.score_range());
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const auto sample = static_cast<std::size_t>(samples[i]);
      positions.push_back(std::find(all.order.begin(), all.order.end(), samples[i]) - all.order.begin());
      scores.add(i, all.scores[sample], all.damages[sample]);
      some->order.push_back(static_cast<std::int64_t>(i));
    }
    some->clean = internal::in_order(all.clean, positions, options.batch_size);
    some->keep_baseline(scores, all.baseline.plan_digest, options.gate);
    some->float_score = all.float_score;
    data = spread_subset(data, most);
    reference = std::move(some);
  }

  void require_measured(const char* call) const {
    if (!reference)
      throw Error(Errc::InvalidArgument, message(call, " needs the baseline: call measure_baseline(plan) first"));
  }

  [[nodiscard]] Evaluation judge(const SampleScores& scores, const std::string& digest, const Reference& kept) const {
    Evaluation evaluation = scores.compare(kept.scores);
    evaluation.plan_digest = digest;
    if (is_own_baseline && digest == kept.baseline.plan_digest) set_certain(evaluation);
    evaluation.passed = options.gate.passes(evaluation, kept.baseline);
    return evaluation;
  }

  std::optional<Evaluation> evaluate(const Plan& plan, bool may_end_early) {
    const auto start = Clock::now();
    const NetworkFn network = runner->prepare(&plan);
    const std::string digest = plan_digest(plan);
    const EnoughFn fails = [&](const SampleScores& scores) { return !judge(scores, digest, *reference).passed; };
    const bool can_end = may_end_early && (!task.scores_together() || options.gate.kind == GateKind::Damage);
    const auto scores =
        pass(network, &plan, *reference, message("plan ", ++plans, ": ", describe(plan)), can_end ? fails : EnoughFn());
    if (!scores) return std::nullopt;
    Evaluation evaluation = judge(*scores, digest, *reference);
    evaluation.seconds = seconds_since(start);
    return evaluation;
  }
};

PlanEvaluator::PlanEvaluator(std::unique_ptr<PlanRunner> runner, const Dataset& data, const Task& task,
                             const EvaluatorOptions& options, const Monitor& monitor) {
  require_valid("evaluator options", validate(options));
  if (data.size() == 0)
    throw Error(Errc::InvalidArgument, message("evaluate: ", data.name(), " holds no samples to score"));
  state_.reset(new State{std::move(runner), {std::shared_ptr<const void>(), &data}, task, options, monitor});
}

PlanEvaluator::PlanEvaluator(std::unique_ptr<PlanRunner> runner, const PlanEvaluator& reference,
                             std::int64_t most_samples) {
  const State& other = *reference.state_;
  other.require_measured("comparing with an evaluator");
  state_.reset(new State{std::move(runner), other.data, other.task, other.options, other.monitor, other.reference});
  state_->options.early_stop = false;
  state_->restrict_to(most_samples);
}

PlanEvaluator::~PlanEvaluator() = default;

std::optional<Evaluation> PlanEvaluator::measure_baseline(const Plan& baseline) {
  State& state = *state_;
  auto start = Clock::now();
  NetworkFn network = state.runner->prepare(nullptr);
  state.check_task(network);
  auto kept = std::make_shared<Reference>();
  kept->order = shortest_first(*state.data);
  const auto clean = state.pass(network, nullptr, *kept, "float network");
  if (!clean) return std::nullopt;
  const double float_seconds = seconds_since(start);
  start = Clock::now();
  network = state.runner->prepare(&baseline);
  const auto scores = state.pass(network, &baseline, *kept, "baseline: " + describe(baseline));
  if (!scores) return std::nullopt;
  kept->keep_baseline(*scores, plan_digest(baseline), state.options.gate);
  state.is_own_baseline = true;
  kept->baseline.seconds = seconds_since(start);
  kept->float_score = state.judge(*clean, "float", *kept);
  kept->float_score.seconds = float_seconds;
  if (state.options.early_stop) state.reorder(*kept);
  state.reference = std::move(kept);
  return state.reference->baseline;
}

const Evaluation& PlanEvaluator::float_score() const {
  state_->require_measured("float_score");
  return state_->reference->float_score;
}

const Evaluation& PlanEvaluator::baseline() const {
  state_->require_measured("baseline");
  return state_->reference->baseline;
}

std::optional<Evaluation> PlanEvaluator::evaluate(const Plan& plan) {
  state_->require_measured("evaluate");
  return state_->evaluate(plan, state_->options.early_stop);
}

void PlanEvaluator::set_gate(const Gate& gate) { state_->options.gate = gate; }

std::optional<Evaluation> PlanEvaluator::evaluate_fully(const Plan& plan) {
  state_->require_measured("evaluate_fully");
  return state_->evaluate(plan, false);
}

std::int64_t PlanEvaluator::samples_scored() const { return state_->scored; }

double PlanEvaluator::forward_passes() const {
  return static_cast<double>(state_->scored) / static_cast<double>(state_->data->size());
}

}  // namespace halftone
