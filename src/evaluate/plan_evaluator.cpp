#include "halftone/evaluate/plan_evaluator.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "data/batches.hpp"
#include "evaluate/non_finite.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"

namespace halftone {

namespace {

using Clock = std::chrono::steady_clock;
using internal::BatchRange;

/// Results by sample.
struct Scores {
  std::vector<double> score;
  std::vector<double> damage;
};

void store(std::vector<double>& by_sample, const BatchRange& batch, const at::Tensor& values) {
  const at::Tensor copy = values.to(at::kCPU).contiguous();
  std::copy_n(copy.const_data_ptr<double>(), copy.numel(), by_sample.begin() + batch.begin);
}

double sum(const std::vector<double>& numbers) {
  double total = 0;
  for (const double number : numbers) total += number;
  return total;
}

/// 95 % interval of score / baseline score from the differences of the same samples: 1 + (d -+ 1.96 SE(d)) / baseline.
/// Where no sample differs, the rule of three: with 95 % confidence fewer than 3 in n do. [0, 0] where the baseline
/// scores 0 and no ratio exists.
Interval paired_interval(const std::vector<double>& score, const std::vector<double>& baseline) {
  const auto n = static_cast<double>(score.size());
  const double base = sum(baseline) / n;
  if (base == 0) return {};
  const double mean = (sum(score) - sum(baseline)) / n;
  double squares = 0;
  for (std::size_t i = 0; i < score.size(); ++i) {
    const double deviation = score[i] - baseline[i] - mean;
    squares += deviation * deviation;
  }
  if (squares == 0 && mean == 0) return {std::max(0.0, 1 - 3 / n / base), 1 + 3 / n / base};
  const double error = n > 1 ? std::sqrt(squares / (n - 1) / n) : 0;
  return {1 + (mean - 1.96 * error) / base, 1 + (mean + 1.96 * error) / base};
}

Evaluation summarize(const Scores& scores, std::string digest, Clock::time_point start) {
  const auto samples = static_cast<double>(scores.score.size());
  return {.plan_digest = std::move(digest),
          .score = sum(scores.score) / samples,
          .score_count = sum(scores.score),
          .samples = std::ssize(scores.score),
          .damage = sum(scores.damage) / samples,
          .interval = {},
          .seconds = std::chrono::duration<double>(Clock::now() - start).count()};
}

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

}  // namespace

std::vector<std::string> validate(const EvaluatorOptions& options) {
  std::vector<std::string> violations = validate(options.gate);
  if (options.batch_size < 1)
    violations.push_back(message("batch_size is ", options.batch_size, ": at least 1 is needed"));
  if (options.threads < 1) violations.push_back(message("threads is ", options.threads, ": at least 1 is needed"));
  return violations;
}

/// By batch, then as the network gives them.
using Outputs = std::vector<std::vector<at::Tensor>>;

struct PlanEvaluator::State {
  std::unique_ptr<PlanRunner> runner;
  const Dataset& data;
  const Task& task;
  EvaluatorOptions options;
  Monitor monitor;

  std::shared_ptr<Outputs> clean{};       ///< of the float network
  std::vector<double> baseline_scores{};  ///< by sample
  Evaluation float_score{};
  Evaluation baseline{};
  bool measured = false;
  bool is_own_baseline = false;  ///< of this runner, not of another evaluator's
  double passes = 0;
  int plans = 0;

  void check_task(const NetworkFn& network) const {
    const at::NoGradGuard no_gradient;
    const Batch batch = data.range(0, std::min(options.batch_size, data.size()));
    task.check(network(batch.inputs), data);
  }

  void require_finite(const std::vector<at::Tensor>& outputs, const BatchRange& batch, const Plan* plan) const {
    const auto found = internal::find_non_finite(outputs);
    if (!found) return;
    throw Error(Errc::NonFinite,
                message("output ", found->output, " of the ", plan == nullptr ? "float network" : "quantized network",
                        " is NaN or infinite for sample ", batch.begin + found->sample, " of ", data.name(),
                        plan == nullptr ? message(": check this sample and the network's weights")
                                        : message(" with ", describe(*plan), ": check the ranges of these sites")));
  }

  /// One pass over the data; `plan` null is the float network, which fills `kept`, and every other is compared with it.
  /// Nothing when stopped.
  std::optional<Scores> pass(const NetworkFn& network, const Plan* plan, Outputs& kept, const std::string& detail) {
    Scores scores{std::vector<double>(static_cast<std::size_t>(data.size())),
                  std::vector<double>(static_cast<std::size_t>(data.size()))};
    const internal::BatchLoop loop{data.size(), options.batch_size, options.threads, "evaluate", detail};
    if (plan == nullptr) kept.resize(static_cast<std::size_t>(loop.batches()));
    const bool completed = internal::for_each_batch(loop, monitor, [&](const BatchRange& batch, std::size_t) {
      const Batch samples = data.range(batch.begin, batch.end);
      auto outputs = network(samples.inputs);
      require_finite(outputs, batch, plan);
      store(scores.score, batch, task.score(outputs, samples.targets));
      auto& clean_outputs = kept[static_cast<std::size_t>(batch.index)];
      if (plan != nullptr)
        store(scores.damage, batch, task.damage(outputs, clean_outputs));
      else
        clean_outputs = std::move(outputs);
    });
    if (!completed) return std::nullopt;
    ++passes;
    return scores;
  }

  void require_measured(const char* call) const {
    if (!measured)
      throw Error(Errc::InvalidArgument, message(call, " needs the baseline: call measure_baseline(plan) first"));
  }

  void judge(Evaluation& evaluation, const Scores& scores) const {
    evaluation.interval = paired_interval(scores.score, baseline_scores);
    evaluation.passed = options.gate.passes(evaluation, baseline);
  }
};

PlanEvaluator::PlanEvaluator(std::unique_ptr<PlanRunner> runner, const Dataset& data, const Task& task,
                             const EvaluatorOptions& options, const Monitor& monitor) {
  require_valid("evaluator options", validate(options));
  if (data.size() == 0)
    throw Error(Errc::InvalidArgument, message("evaluate: ", data.name(), " holds no samples to score"));
  state_.reset(new State{std::move(runner), data, task, options, monitor});
}

PlanEvaluator::PlanEvaluator(std::unique_ptr<PlanRunner> runner, const PlanEvaluator& reference) {
  const State& other = *reference.state_;
  other.require_measured("comparing with an evaluator");
  state_.reset(new State{std::move(runner), other.data, other.task, other.options, other.monitor, other.clean,
                         other.baseline_scores, other.float_score, other.baseline, other.measured});
}

PlanEvaluator::~PlanEvaluator() = default;

std::optional<Evaluation> PlanEvaluator::measure_baseline(const Plan& baseline) {
  State& state = *state_;
  auto start = Clock::now();
  NetworkFn network = state.runner->prepare(nullptr);
  state.check_task(network);
  auto outputs = std::make_shared<Outputs>();
  const auto clean = state.pass(network, nullptr, *outputs, "float network");
  if (!clean) return std::nullopt;
  Evaluation float_score = summarize(*clean, "float", start);
  start = Clock::now();
  network = state.runner->prepare(&baseline);
  const auto scores = state.pass(network, &baseline, *outputs, "baseline: " + describe(baseline));
  if (!scores) return std::nullopt;
  state.clean = std::move(outputs);
  state.baseline = summarize(*scores, plan_digest(baseline), start);
  state.baseline_scores = scores->score;
  state.measured = state.is_own_baseline = true;
  state.judge(float_score, *clean);
  state.judge(state.baseline, *scores);
  if (state.baseline.score != 0) state.baseline.interval = {1, 1};  // it is compared with itself
  state.float_score = std::move(float_score);
  return state.baseline;
}

const Evaluation& PlanEvaluator::float_score() const {
  state_->require_measured("float_score");
  return state_->float_score;
}

const Evaluation& PlanEvaluator::baseline() const {
  state_->require_measured("baseline");
  return state_->baseline;
}

std::optional<Evaluation> PlanEvaluator::evaluate(const Plan& plan) {
  State& state = *state_;
  state.require_measured("evaluate");
  const auto start = Clock::now();
  const NetworkFn network = state.runner->prepare(&plan);
  const auto scores = state.pass(network, &plan, *state.clean, message("plan ", ++state.plans, ": ", describe(plan)));
  if (!scores) return std::nullopt;
  Evaluation evaluation = summarize(*scores, plan_digest(plan), start);
  state.judge(evaluation, *scores);
  if (state.is_own_baseline && evaluation.plan_digest == state.baseline.plan_digest)
    evaluation.interval = state.baseline.interval;
  return evaluation;
}

void PlanEvaluator::set_gate(const Gate& gate) { state_->options.gate = gate; }

double PlanEvaluator::forward_passes() const { return state_->passes; }

}  // namespace halftone
