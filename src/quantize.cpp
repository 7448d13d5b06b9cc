#include "halftone/quantize.hpp"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <chrono>
#include <thread>
#include <utility>

#include "halftone/core/options.hpp"
#include "halftone/version.hpp"
#include "quantize/finalists.hpp"
#include "quantize/finishing.hpp"
#include "quantize/kept_evaluator.hpp"
#include "quantize/kept_json.hpp"
#include "quantize/memory.hpp"
#include "quantize/preparation.hpp"
#include "quantize/setup.hpp"
#include "quantize/targets.hpp"
#include "sensitivity/kept_table.hpp"

namespace halftone {

namespace {

using internal::Setup;

/// Runs the stages one after the other into one result.
class Run {
 public:
  explicit Run(Setup setup)
      : setup_(std::move(setup)),
        memory_(setup_.options.journal, setup_.team),
        preparation_(setup_, memory_, result_) {}

  FinishedRun run() {
    describe_run();
    if (!setup_.measures_latency) preparation_.predict();
    for (const Gate& gate : setup_.gates) {
      TargetResult& target = targets_.emplace_back();
      target.gate = gate;
      target.status = RunStatus::Stopped;
      target.plan = setup_.baseline();
      target.figures.predicted_latency = setup_.latency(target.plan);
    }
    try {
      run_stages();
    } catch (const Stopped&) {
      if (targets_.back().status != RunStatus::Missed) targets_.back().status = RunStatus::Stopped;
      result_.stop_reason = "on request";
    }
    note_missing();
    publish();
    return {std::move(result_), std::move(finished_)};
  }

 private:
  void run_stages() {
    timed("read", [&] { preparation_.read_data(); });
    timed("calibrate", [&] { preparation_.calibrate(); });
    if (preparation_.adjusts(RangeAdjusting::Search)) timed("adjust", [&] { preparation_.adjust_uniform_plans(); });
    if (setup_.measures_latency)
      timed("latency", [&] { preparation_.measure_latencies(); });
    else if (setup_.parts.engine)
      preparation_.compile_once();
    for (TargetResult& target : targets_) target.figures.predicted_latency = setup_.latency(target.plan);
    timed("baseline", [&] { score_baseline(); });
    timed("search", [&] { search(); });
    if (setup_.parts.engine) timed("measure", [&] { measure_finalists(); });
    if (preparation_.adjusts(RangeAdjusting::Final)) timed("adjust the plan", [&] { adjust_result(); });
    if (setup_.finishing != nullptr) timed("finish", [&] { finish_result(); });
    if (setup_.parts.engine) timed("compare", [&] { score_otherwise(); });
    if (setup_.data.report != nullptr) timed("report", [&] { score_report(); });
  }

  void describe_run() {
    const QuantizeOptions& options = setup_.options;
    const QuantizeData& data = setup_.data;
    result_.model_digest = setup_.model_digest;
    result_.sites = setup_.model.sites;
    result_.gate = setup_.gates.back();
    result_.latency_target = options.latency_target;
    result_.limits = options.limits;
    result_.task = setup_.parts.task->name();
    result_.metric = setup_.parts.metric->name();
    result_.order = setup_.parts.order->name;
    result_.search = options.latency_target ? "within latency" : setup_.parts.search->name();
    result_.precisions = options.precisions;
    if (setup_.units) {
      result_.rules = setup_.units->rules();
      result_.notes.emplace_back(
          "Every plan obeys the rules given; one of all sites at a precision has as many there as they allow.");
    }
    result_.seed = options.seed;
    result_.threads = options.threads;
    result_.batch_size = options.batch_size;
    result_.range_input = to_string(options.input_range.method);
    result_.range_weight = to_string(options.weight_range.method);
    result_.adjust_ranges = to_string(options.adjust_ranges);
    result_.scored_in = setup_.deployed ? setup_.engine_name() : "simulation";
    if (const auto& engine = setup_.parts.engine)
      result_.engine = {engine->name(), engine->version(), options.latency_threads, to_string(setup_.float_type)};
    result_.calibration_data = {data.calibration.name(), {}, data.calibration.size()};
    result_.validation_data = {data.validation.name(), {}, data.validation.size()};
    if (data.report != nullptr) result_.report_data = {data.report->name(), {}, data.report->size()};
    if (const Finishing* finishing = setup_.finishing)
      result_.training_data = {finishing->training.name(), {}, finishing->training.size()};
    result_.environment = {{"halftone", HALFTONE_VERSION},
                           {"libtorch", TORCH_VERSION},
                           {"compiler", __VERSION__},
                           {"cpu_capability", at::get_cpu_capability()},
                           {"cores", std::to_string(std::thread::hardware_concurrency())}};
    if (setup_.team != nullptr) result_.environment["ranks"] = std::to_string(setup_.team->size());
  }

  template <class Stage>
  void timed(const char* name, const Stage& stage) {
    using Clock = std::chrono::steady_clock;
    struct Record {  // also when the stage is stopped; without what stages within took
      Run& run;
      const char* name;
      Clock::time_point start = Clock::now();
      double before = std::exchange(run.seconds_within_, 0);
      ~Record() {
        const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
        run.result_.seconds.emplace_back(name, seconds - run.seconds_within_);
        run.seconds_within_ = before + seconds;
      }
    } record{*this, name};
    stage();
  }

  [[nodiscard]] std::unique_ptr<internal::KeptEvaluator> make_evaluator(const Dataset& data,
                                                                        const std::string& data_digest) {
    const auto make = [this, &data] {
      return std::make_unique<PlanEvaluator>(setup_.make_runner(setup_.deployed, setup_.model, result_.calibration),
                                             data, *setup_.parts.task, setup_.evaluator_options(), setup_.monitor);
    };
    return std::make_unique<internal::KeptEvaluator>(
        memory_, setup_.scoring_fingerprint(setup_.deployed, result_.calibration, data_digest), make,
        setup_.baseline());
  }

  void score_baseline() {
    evaluator_ = make_evaluator(setup_.data.validation, result_.validation_data.digest);
    if (!evaluator_->measure_baseline()) throw Stopped();
    result_.float_score = evaluator_->float_score();
    result_.baseline.evaluation = evaluator_->baseline();
    for (TargetResult& target : targets_) target.figures.evaluation = evaluator_->baseline();
  }

  /// When the search first asks for an ordering: where all sites pass at once, it never does.
  const SensitivityTable& score_sensitivity() {
    const std::span<const Precision> all = setup_.options.precisions;
    const auto lowered = all.front() == k16 ? all.subspan(1) : all;
    const Dataset& data = setup_.data.calibration;
    const std::shared_ptr<const Dataset> some =
        sorted_by_length(spread_subset({std::shared_ptr<const void>(), &data}, setup_.options.sense_samples));
    timed("sense", [&] {
      result_.sensitivity = internal::find_or_measure(*setup_.parts.metric, {.model = setup_.model,
                                                                             .calibration = result_.calibration,
                                                                             .data = *some,
                                                                             .task = *setup_.parts.task,
                                                                             .precisions = lowered,
                                                                             .seed = setup_.options.seed,
                                                                             .batch_size = setup_.options.batch_size,
                                                                             .threads = setup_.options.threads,
                                                                             .monitor = setup_.monitor,
                                                                             .journal = memory_.journal(),
                                                                             .team = setup_.team});
    });
    const double share = static_cast<double>(some->size()) / static_cast<double>(data.size());
    result_.forward_passes += result_.sensitivity.forward_passes * share;
    result_.backward_passes += result_.sensitivity.backward_passes * share;
    return result_.sensitivity;
  }

  void search() {
    internal::Targets search(
        setup_, *evaluator_, [&]() -> const SensitivityTable& { return score_sensitivity(); }, targets_, result_.steps);
    search.search();
    result_.stop_reason = search.stop_reason();
  }

  /// Times the finalists end to end. Where latency is measured, the fastest of those that pass is the result: whatever
  /// the prediction was, no plan is returned that is slower than the baseline, or than a uniform plan that passes.
  void measure_finalists() {
    internal::Finalists finalists(setup_, targets_, evaluator_->baseline(), result_.steps);
    finalists.measure(result_.calibration, memory_);
    for (TargetResult& target : targets_) finalists.choose(target, *evaluator_, result_.notes);
    result_.measured = finalists.times(targets_.back().plan);
    note_slow_plan(*result_.measured);
  }

  /// By the fastest pass, as plans are chosen, where there is a difference at all.
  void note_slow_plan(const EngineTimes& times) {
    if (times.plan.minimum <= times.baseline.minimum || compare(times.plan, times.baseline).low <= 1) return;
    result_.notes.emplace_back(setup_.measures_latency
                                   ? "The plan is slower than all sites at 16 bits: nothing faster was found."
                                   : "The plan is slower than all sites at 16 bits as measured in the engine; the "
                                     "search followed the latency model.");
  }

  /// The result's evaluation stays one of the ranges returned: others are taken only with the score that they have.
  void adjust_result() {
    TargetResult& target = targets_.back();
    AdjustedRanges adjusted = preparation_.adjust(target.plan, true, true);
    if (adjusted.record.step_kept == 0) return;
    PlanEvaluator* reference = evaluator_->live();
    if (reference == nullptr) throw Stopped();
    PlanEvaluator evaluator(setup_.make_runner(setup_.deployed, setup_.model, adjusted.calibration), *reference);
    auto evaluation = evaluator.evaluate(target.plan);
    result_.forward_passes += evaluator.forward_passes();
    if (!evaluation) throw Stopped();
    evaluation->passed = target.gate.passes(*evaluation, evaluator_->baseline());
    evaluation->plan_digest += " adjusted";  // it is the plan found, under other ranges
    const Evaluation& before = target.figures.evaluation;
    const bool is_better = evaluation->damage < before.damage && (evaluation->passed || !before.passed);
    target.decisions.push_back({evaluation->plan_digest, evaluation->passed,
                                is_better ? "ranges adjusted to this plan do less damage: they are kept"
                                          : "ranges adjusted to this plan do no better: they are dropped"});
    result_.steps.push_back({target.plan, *evaluation, setup_.latency(target.plan), target.decisions.back().text});
    if (!is_better) return;
    result_.calibration = std::move(adjusted.calibration);
    internal::take_evaluation(setup_, target, *evaluation);
  }

  void finish_result() {
    auto made = internal::finish_plan(setup_, *evaluator_, targets_.back(), result_);
    if (!made) return;
    result_.finished_ranges = std::move(made->calibration);
    finished_ = std::move(made->model);
  }

  /// What the result's plan runs with.
  [[nodiscard]] const Model& network() const { return finished_ ? *finished_ : setup_.model; }
  [[nodiscard]] const Calibration& ranges() const {
    return result_.finished_ranges ? *result_.finished_ranges : result_.calibration;
  }

  /// The plan simulated where it was scored in the engine, and the other way round.
  void score_otherwise() {
    const std::int64_t most = setup_.options.compare_samples;
    if (most == 0) return;
    const bool in_engine = !setup_.deployed;
    const Plan& plan = targets_.back().plan;
    Digest key;
    for (const bool engine : {in_engine, setup_.deployed})
      key.add(setup_.scoring_fingerprint(engine, ranges(), result_.validation_data.digest));
    if (finished_) key.add(result_.finishing->model_digest);
    key.add(most).add(to_string(plan));
    result_.other_score = memory_.find("comparison", key, internal::kept_other_score);
    if (!result_.other_score) {
      result_.other_score = compare_scores(plan, in_engine, most);
      memory_.keep("comparison", key, internal::to_kept(*result_.other_score));
    }
    result_.forward_passes += static_cast<double>(result_.other_score->evaluation.samples) /
                              static_cast<double>(setup_.data.validation.size()) *
                              (result_.other_score->same_samples ? 2 : 1);
  }

  OtherScore compare_scores(const Plan& plan, bool in_engine, std::int64_t most) {
    const PlanEvaluator* reference = evaluator_->live();
    if (reference == nullptr) throw Stopped();
    const auto score = [&](bool where, std::optional<Evaluation>& baseline) {
      PlanEvaluator evaluator(setup_.make_runner(where, network(), ranges()), *reference, most);
      auto evaluation = evaluator.evaluate(plan);
      if (!evaluation) throw Stopped();
      baseline = evaluator.baseline();
      return *std::move(evaluation);
    };
    std::optional<Evaluation> baseline;
    OtherScore other{in_engine ? setup_.engine_name() : "simulation", score(in_engine, baseline)};
    if (other.evaluation.samples < setup_.data.validation.size()) {
      other.same_samples.emplace();
      other.same_samples->plan = score(setup_.deployed, baseline);
      other.same_samples->baseline = *baseline;
    }
    return other;
  }

  void score_report() {
    const auto evaluator = make_evaluator(*setup_.data.report, result_.report_data->digest);
    if (!evaluator->measure_baseline()) throw Stopped();
    result_.baseline.report = evaluator->baseline();
    TargetResult& target = targets_.back();  // looser ones have no part in what this run quotes
    evaluator->set_gate(target.gate);
    target.figures.report = finished_                          ? score_finished(*evaluator, target.plan)
                            : target.plan == setup_.baseline() ? result_.baseline.report
                                                               : evaluator->evaluate_fully(target.plan);
    if (!target.figures.report) throw Stopped();
    result_.forward_passes += evaluator->forward_passes();
  }

  /// Beside the baseline of the network as it was.
  std::optional<Evaluation> score_finished(internal::KeptEvaluator& before, const Plan& plan) {
    PlanEvaluator* reference = before.live();
    if (reference == nullptr) throw Stopped();
    PlanEvaluator evaluator(setup_.make_runner(setup_.deployed, network(), ranges()), *reference);
    auto evaluation = evaluator.evaluate_fully(plan);
    result_.forward_passes += evaluator.forward_passes();
    return evaluation;
  }

  /// What a report that was stopped lacks is said, not left out silently.
  void note_missing() {
    if (result_.stop_reason != "on request" || result_.baseline.evaluation.samples == 0) return;
    std::string missing;
    const auto add = [&](bool lacks, const char* what) {
      if (lacks) missing += message(missing.empty() ? "" : "; ", what);
    };
    const bool has_engine = setup_.parts.engine != nullptr;
    add(has_engine && !result_.measured, "the finalists' measured times");
    add(setup_.finishing != nullptr && !result_.finishing, "fine-tuning");
    add(has_engine && setup_.options.compare_samples > 0 && !result_.other_score,
        setup_.deployed ? "the plan's score in simulation" : "the plan's score in the engine");
    add(setup_.data.report != nullptr && !targets_.back().figures.report, "the plan's score on the report part");
    if (!missing.empty()) result_.notes.push_back(message("Missing, as the run was stopped before: ", missing, '.'));
  }

  /// The last target, for the strictest gate, is the run's own.
  void publish() {
    if (evaluator_) result_.forward_passes += evaluator_->forward_passes();
    TargetResult main = std::move(targets_.back());
    targets_.pop_back();
    for (SearchStep& step : result_.steps)
      step.evaluation.passed = main.gate.passes(step.evaluation, result_.baseline.evaluation);
    result_.looser = std::move(targets_);
    result_.status = main.status;
    result_.plan = std::move(main.plan);
    result_.result = std::move(main.figures);
    result_.decisions = std::move(main.decisions);
    result_.unsearched = std::move(main.unsearched);
    if (memory_.found() > 0)
      result_.notes.push_back(
          message(memory_.found(), memory_.found() == 1 ? " result was" : " results were",
                  " taken from an earlier run in this folder; the seconds of the stages are of this "
                  "run alone."));
    if (!setup_.parts.latency) return;
    for (std::size_t site = 0; site < result_.plan.size(); ++site) {
      Plan raised = result_.plan;
      raised[site] = k16;
      result_.site_saving.push_back(setup_.latency(raised) - setup_.latency(result_.plan));
    }
  }

  Setup setup_;
  internal::Memory memory_;
  std::unique_ptr<internal::KeptEvaluator> evaluator_;
  std::vector<TargetResult> targets_;  ///< loosest gate first
  std::optional<Model> finished_;
  double seconds_within_ = 0;  ///< of stages that ran within the one under way
  RunResult result_;
  internal::Preparation preparation_;
};

FinishedRun run(const Model& model, const QuantizeData& data, const Finishing* finishing,
                const QuantizeOptions& options, const QuantizeParts& parts, const Monitor& monitor) {
  require_valid("options", validate(options));
  if (model.sites.empty())
    throw Error(Errc::InvalidArgument,
                "the model has no sites: call prepare(model) after capture; a network without "
                "convolutions or linear layers has nothing to quantize");
  if (options.scoring == Scoring::Deployed && !parts.engine)
    throw Error(Errc::InvalidArgument, "scoring is Deployed, and there is no engine: give parts.engine");
  if (options.communicator == nullptr || options.communicator->size() == 1)
    return Run(Setup(model, data, options, parts, monitor, nullptr, finishing)).run();
  Team team(*options.communicator, monitor.should_stop);
  return team.share_failures([&] {
    const Monitor shared = team.monitor(monitor);
    Setup setup(model, data, options, parts, shared, &team, finishing);
    setup.require_same_everywhere();
    return Run(std::move(setup)).run();
  });
}

}  // namespace

RunResult quantize(const Model& model, const QuantizeData& data, const QuantizeOptions& options,
                   const QuantizeParts& parts, const Monitor& monitor) {
  return run(model, data, nullptr, options, parts, monitor).run;
}

FinishedRun quantize_and_finish(const Model& model, const QuantizeData& data, const Finishing& finishing,
                                const QuantizeOptions& options, const QuantizeParts& parts, const Monitor& monitor) {
  return run(model, data, &finishing, options, parts, monitor);
}

}  // namespace halftone
