#include "halftone/quantize.hpp"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "calibrate/token_ids.hpp"
#include "halftone/adjust/weight_method.hpp"
#include "halftone/core/options.hpp"
#include "halftone/engine/deployed_evaluator.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/latency/measure_latency.hpp"
#include "halftone/latency/roofline.hpp"
#include "halftone/search/bisection.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "halftone/version.hpp"
#include "quantize/finalists.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

namespace halftone {

namespace {

/// Runs the stages one after the other into one result.
class Run {
 public:
  Run(const Model& model, const QuantizeData& data, const QuantizeOptions& options, const QuantizeParts& parts,
      const Monitor& monitor)
      : model_(model), data_(data), options_(options), parts_(parts), monitor_(monitor) {
    if (!parts_.task) parts_.task = make_top_k(1);
    if (!parts_.metric) parts_.metric = make_interlayer();
    if (!parts_.order) parts_.order = parts_.metric->gives_pairs() ? nested_order() : gain_order();
    if (parts_.order->needs_pairs && !parts_.metric->gives_pairs())
      throw Error(Errc::InvalidArgument,
                  message("order ", parts_.order->name, " needs pairs of sites, which metric ", parts_.metric->name(),
                          " does not give: take one that does (gives_pairs), such as interlayer, or another order"));
    if (!parts_.search) parts_.search = std::make_shared<const Bisection>();
    measures_latency_ = !parts_.latency && parts_.engine;
    if (!parts_.latency && !parts_.engine)
      parts_.latency = std::make_shared<const RooflineLatency>(roofline_devices().front());
    deployed_ = options_.scoring == Scoring::Deployed || (options_.scoring == Scoring::Automatic && parts_.engine);
    options_.precisions = ordered_precisions(options_.precisions);
    gates_ = options_.gates;
    if (gates_.empty()) gates_.push_back({.keep = options_.keep});
    std::sort(gates_.begin(), gates_.end(), [](const Gate& a, const Gate& b) { return a.is_looser_than(b); });
    if (parts_.engine) float_type_ = options_.float_type.value_or(preferred_float(*parts_.engine));
    if (measures_latency_) require_measurable(*parts_.engine, options_.precisions, latency_options());
    if (options_.threads == 0) options_.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  }

  RunResult run() {
    describe_run();
    const Plan baseline = Plan::uniform(model_.sites.size(), k16);
    if (!measures_latency_) predict_latencies(baseline);
    finish_with(baseline, RunStatus::Stopped, {});
    try {
      timed("read", [&] { read_data(); });
      timed("calibrate", [&] { calibrate_ranges(); });
      if (adjusts(RangeAdjusting::Search)) timed("adjust", [&] { adjust_uniform_plans(); });
      if (measures_latency_)
        timed("latency", [&] { measure_sites(baseline); });
      else if (parts_.engine)
        compile_once();
      timed("baseline", [&] { score_baseline(baseline); });
      timed("search", [&] { search(); });
      const bool ended = result_.status != RunStatus::Stopped;
      if (parts_.engine && ended) timed("measure", [&] { measure_finalists(baseline); });
      if (adjusts(RangeAdjusting::Final) && ended) timed("adjust the plan", [&] { adjust_result(); });
      if (parts_.engine && ended) timed("compare", [&] { score_otherwise(); });
      if (data_.report != nullptr && result_.status != RunStatus::Stopped)
        timed("report", [&] { score_report(baseline); });
    } catch (const Stopped&) {
      result_.status = RunStatus::Stopped;
    }
    if (evaluator_) result_.forward_passes += evaluator_->forward_passes();
    if (parts_.latency) predict_savings();
    return std::move(result_);
  }

 private:
  void describe_run() {
    result_.model_digest = digest(model_);
    result_.sites = model_.sites;
    result_.gate = gates_.back();
    result_.limits = options_.limits;
    result_.task = parts_.task->name();
    result_.metric = parts_.metric->name();
    result_.order = parts_.order->name;
    result_.search = parts_.search->name();
    result_.precisions = options_.precisions;
    result_.seed = options_.seed;
    result_.threads = options_.threads;
    result_.batch_size = options_.batch_size;
    result_.range_input = to_string(options_.input_range.method);
    result_.range_weight = to_string(options_.weight_range.method);
    result_.adjust_ranges = to_string(options_.adjust_ranges);
    result_.scored_in = deployed_ ? engine_name() : "simulation";
    if (parts_.engine)
      result_.engine = {parts_.engine->name(), parts_.engine->version(), options_.latency_threads,
                        to_string(float_type_)};
    result_.calibration_data = {data_.calibration.name(), {}, data_.calibration.size()};
    result_.validation_data = {data_.validation.name(), {}, data_.validation.size()};
    if (data_.report != nullptr) result_.report_data = {data_.report->name(), {}, data_.report->size()};
    result_.environment = {{"halftone", HALFTONE_VERSION},
                           {"libtorch", TORCH_VERSION},
                           {"compiler", __VERSION__},
                           {"cpu_capability", at::get_cpu_capability()},
                           {"cores", std::to_string(std::thread::hardware_concurrency())}};
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

  [[nodiscard]] std::string engine_name() const { return parts_.engine->name() + ' ' + parts_.engine->version(); }

  /// 0 until latency is known.
  [[nodiscard]] double latency(const Plan& plan) const {
    return parts_.latency ? parts_.latency->estimate(model_.sites, plan) : 0;
  }

  void finish_with(const Plan& plan, RunStatus status, const Evaluation& evaluation) {
    result_.status = status;
    result_.plan = plan;
    result_.result.evaluation = evaluation;
    result_.result.predicted_latency = latency(plan);
  }

  /// Before any pass over data: a latency model that lacks a site or a precision fails at once.
  void predict_latencies(const Plan& baseline) {
    result_.latency_model = parts_.latency->name();
    result_.latency_origin = parts_.latency->origin();
    result_.latency_unit = parts_.latency->unit();
    result_.latency_measured = measures_latency_;
    result_.latency_batch = parts_.latency->batch();
    result_.baseline.predicted_latency = result_.result.predicted_latency = latency(baseline);
    for (const Precision precision : options_.precisions)
      result_.uniform_latency[to_string(precision)] = latency(Plan::uniform(model_.sites.size(), precision));
  }

  void predict_savings() {
    for (std::size_t site = 0; site < result_.plan.size(); ++site) {
      Plan raised = result_.plan;
      raised[site] = k16;
      result_.site_saving.push_back(latency(raised) - latency(result_.plan));
    }
  }

  /// Reads every sample once: what is broken shows before any work.
  void read_data() {
    const auto read = [&](const Dataset& data) {
      internal::require_known_ids(model_.graph, data);
      auto digest = data.digest(options_.threads, monitor_);
      if (!digest) throw Stopped();
      return std::move(*digest);
    };
    result_.calibration_data.digest = read(data_.calibration);
    result_.validation_data.digest = read(data_.validation);
    if (data_.report != nullptr) result_.report_data->digest = read(*data_.report);
  }

  void calibrate_ranges() {
    auto chosen = calibrate_and_choose(model_, data_.calibration, *parts_.task, options_.precisions,
                                       {.input = options_.input_range,
                                        .weight = options_.weight_range,
                                        .batch_size = options_.batch_size,
                                        .threads = options_.threads},
                                       options_.seed, monitor_);
    if (!chosen) throw Stopped();
    result_.calibration = std::move(chosen->calibration);
    result_.weight_methods = std::move(chosen->choices);
    result_.forward_passes += chosen->forward_passes;
  }

  [[nodiscard]] bool adjusts(RangeAdjusting when) const {
    return options_.adjust_ranges == when || options_.adjust_ranges == RangeAdjusting::Both;
  }

  /// Of all sites at each precision in turn, from the highest. Precisions may share a width, as 8 and w4a8 do: what one
  /// has adjusted stays for those below it.
  void adjust_uniform_plans() {
    std::set<int> inputs{16};
    std::set<int> weights{16};
    for (const Precision precision : options_.precisions) {
      const bool new_inputs = inputs.insert(precision.activation_bits).second;
      const bool new_weights = weights.insert(precision.weight_bits).second;
      if (!new_inputs && !new_weights) continue;
      result_.calibration = adjust(Plan::uniform(model_.sites.size(), precision), new_inputs, new_weights).calibration;
    }
  }

  AdjustedRanges adjust(const Plan& plan, bool inputs, bool weights) {
    AdjustOptions options = options_.adjust;
    options.inputs = options.inputs && inputs;
    options.weights = options.weights && weights;
    options.batch_size = options_.batch_size;
    options.threads = options_.threads;
    options.seed = options_.seed;
    AdjustedRanges adjusted =
        adjust_ranges(model_, result_.calibration, data_.calibration, *parts_.task, plan, options, monitor_);
    adjusted.record.plan = internal::composition(plan);
    result_.adjustments.push_back(adjusted.record);
    result_.forward_passes += adjusted.record.forward_passes;
    result_.backward_passes += adjusted.record.backward_passes;
    if (adjusted.record.stopped) throw Stopped();
    return adjusted;
  }

  /// The result's evaluation stays one of the ranges returned: others are taken only with the score that they have.
  void adjust_result() {
    AdjustedRanges adjusted = adjust(result_.plan, true, true);
    if (adjusted.record.step_kept == 0) return;
    PlanEvaluator evaluator(make_runner(deployed_, adjusted.calibration), *evaluator_);
    const auto evaluation = evaluator.evaluate(result_.plan);
    result_.forward_passes += evaluator.forward_passes();
    if (!evaluation) throw Stopped();
    const Evaluation& before = result_.result.evaluation;
    const bool is_better = evaluation->damage < before.damage && (evaluation->passed || !before.passed);
    result_.steps.push_back({result_.plan, *evaluation, latency(result_.plan),
                             is_better ? "ranges adjusted to this plan do less damage: they are kept"
                                       : "ranges adjusted to this plan do no better: they are dropped"});
    if (!is_better) return;
    result_.calibration = std::move(adjusted.calibration);
    finish_with(result_.plan, evaluation->passed ? RunStatus::Met : result_.status, *evaluation);
  }

  [[nodiscard]] MeasureLatencyOptions latency_options() const {
    return {.batch = options_.latency_batch,
            .threads = options_.latency_threads,
            .float_type = float_type_,
            .cache = options_.latency_cache,
            .seed = options_.seed};
  }

  void measure_sites(const Plan& baseline) {
    auto measured = measure_latency(*parts_.engine, model_, result_.calibration, options_.precisions, latency_options(),
                                    monitor_, &result_.notes);
    if (!measured) throw Stopped();
    if (measured->fits_poorly())
      result_.notes.push_back(message("The measured latencies fit poorly (median error ",
                                      internal::percent(measured->error(), 1),
                                      " on networks left out), as on a machine that is busy with other things: the "
                                      "next run measures anew."));
    parts_.latency = std::make_shared<const MeasuredLatency>(std::move(*measured));
    predict_latencies(baseline);
  }

  /// An engine that cannot run the network says so now, not after the search.
  void compile_once() const {
    (void)parts_.engine->compile(
        model_, Plan::uniform(model_.sites.size(), options_.precisions.back()), result_.calibration,
        {.batch = options_.latency_batch, .threads = options_.latency_threads, .float_type = float_type_});
  }

  [[nodiscard]] EvaluatorOptions evaluator_options() const {
    return {.gate = gates_.back(), .batch_size = options_.batch_size, .threads = options_.threads};
  }

  [[nodiscard]] std::unique_ptr<PlanRunner> make_runner(bool deployed, const Calibration& calibration) const {
    return deployed ? deploy(model_, calibration, parts_.engine, evaluator_options(), float_type_)
                    : simulate(model_, calibration);
  }

  [[nodiscard]] std::unique_ptr<PlanEvaluator> make_evaluator(const Dataset& data) const {
    return std::make_unique<PlanEvaluator>(make_runner(deployed_, result_.calibration), data, *parts_.task,
                                           evaluator_options(), monitor_);
  }

  void score_baseline(const Plan& baseline) {
    evaluator_ = make_evaluator(data_.validation);
    const auto evaluation = evaluator_->measure_baseline(baseline);
    if (!evaluation) throw Stopped();
    result_.float_score = evaluator_->float_score();
    result_.baseline.evaluation = *evaluation;
    finish_with(baseline, RunStatus::Stopped, *evaluation);
  }

  /// When the search first asks for an ordering: where all sites pass at once, it never does.
  void score_sensitivity() {
    const std::span<const Precision> all = options_.precisions;
    const auto lowered = all.front() == k16 ? all.subspan(1) : all;
    const std::shared_ptr<const Dataset> some =
        spread_subset({std::shared_ptr<const void>(), &data_.calibration}, options_.sense_samples);
    result_.sensitivity = parts_.metric->measure({.model = model_,
                                                  .calibration = result_.calibration,
                                                  .data = *some,
                                                  .task = *parts_.task,
                                                  .precisions = lowered,
                                                  .seed = options_.seed,
                                                  .batch_size = options_.batch_size,
                                                  .threads = options_.threads,
                                                  .monitor = monitor_});
    const double share = static_cast<double>(some->size()) / static_cast<double>(data_.calibration.size());
    result_.forward_passes += result_.sensitivity.forward_passes * share;
    result_.backward_passes += result_.sensitivity.backward_passes * share;
    order_ = parts_.order->make(result_.sensitivity, model_.sites, *parts_.latency);
  }

  void search() {
    const bool from_16 = options_.precisions.front() == k16;
    if (!from_16 && !start_passes()) return;
    const Evaluation start = result_.result.evaluation;
    const OrderFn order = [this](const Plan& plan, Precision target, const std::vector<std::size_t>& sites) {
      if (!order_) timed("sense", [&] { score_sensitivity(); });
      return order_(plan, target, sites);
    };
    const SearchResult found = parts_.search->search(
        {.sites = model_.sites, .precisions = options_.precisions, .order = order, .latency = *parts_.latency},
        *evaluator_);
    result_.steps.insert(result_.steps.end(), found.steps.begin(), found.steps.end());
    finish_with(found.best, found.status == SearchStatus::Stopped ? RunStatus::Stopped : RunStatus::Met,
                found.best_evaluation.value_or(start));
  }

  /// Where 16 bits are not among the precisions, the search's starting point must itself pass the gate.
  bool start_passes() {
    const Plan start = Plan::uniform(model_.sites.size(), options_.precisions.front());
    const auto evaluation = evaluator_->evaluate(start);
    if (!evaluation) throw Stopped();
    const std::string precision = to_string(options_.precisions.front());
    result_.steps.push_back({start, *evaluation, latency(start),
                             evaluation->passed ? message("all sites at ", precision, " bits pass")
                                                : message("all sites at ", precision,
                                                          " bits, the highest precision allowed, lose too much")});
    finish_with(start, evaluation->passed ? RunStatus::Met : RunStatus::Missed, *evaluation);
    return evaluation->passed;
  }

  /// Times the finalists end to end. Where latency is measured, the fastest of those that pass is the result: whatever
  /// the prediction was, no plan is returned that is slower than the baseline, or than a uniform plan that passes.
  void measure_finalists(const Plan& baseline) {
    internal::Finalists finalists(result_, *parts_.latency, float_type_);
    if (!finalists.measure(*parts_.engine, model_, result_.calibration,
                           {.batch = options_.latency_batch, .threads = options_.latency_threads}, monitor_))
      throw Stopped();
    if (measures_latency_ && result_.status == RunStatus::Met) choose_fastest(finalists, baseline);
    const Measurement& measured = finalists.measurement();
    EngineTimes times{.batch = options_.latency_batch,
                      .load = std::max(measured.load_before, measured.load_after),
                      .precise = measured.precise,
                      .baseline = finalists.timing(baseline),
                      .plan = finalists.timing(result_.plan)};
    for (const Precision precision : options_.precisions)
      times.uniform[to_string(precision)] = finalists.timing(Plan::uniform(model_.sites.size(), precision));
    note_slow_plan(times);
    result_.measured = std::move(times);
  }

  /// By the fastest pass, as plans are chosen, where there is a difference at all.
  void note_slow_plan(const EngineTimes& times) {
    if (times.plan.minimum <= times.baseline.minimum || compare(times.plan, times.baseline).low <= 1) return;
    result_.notes.push_back(measures_latency_
                                ? "The plan is slower than all sites at 16 bits: nothing faster was found."
                                : "The plan is slower than all sites at 16 bits as measured in the engine; the search "
                                  "followed the latency model.");
  }

  void choose_fastest(const internal::Finalists& finalists, const Plan& baseline) {
    const double predicted_time = finalists.timing(result_.plan).minimum;
    std::vector<std::pair<double, const Variant*>> faster;
    for (const Variant& variant : finalists.variants())
      if (const double time = finalists.timing(variant.plan).minimum; time < predicted_time && is_allowed(variant.plan))
        faster.emplace_back(time, &variant);
    std::sort(faster.begin(), faster.end());
    for (const auto& [time, variant] : faster) {
      const auto evaluation = variant->plan == baseline ? result_.baseline.evaluation : score_finalist(*variant);
      if (!evaluation.passed) continue;
      finish_with(variant->plan, RunStatus::Met, evaluation);
      const std::string before = internal::with_unit(predicted_time, "ms");
      if (const std::string result = internal::with_unit(time, "ms"); result != before)
        result_.notes.push_back(message("The plan that the search found took ", before, ", ", variant->name, ' ',
                                        result, " and passes too: it is the result."));
      return;
    }
  }

  /// All but the baseline where 16 bits are not among the precisions.
  [[nodiscard]] bool is_allowed(const Plan& plan) const {
    return std::all_of(plan.precisions.begin(), plan.precisions.end(), [&](Precision precision) {
      return std::find(options_.precisions.begin(), options_.precisions.end(), precision) != options_.precisions.end();
    });
  }

  Evaluation score_finalist(const Variant& variant) {
    if (const SearchStep* known = find_step(result_.steps, variant.plan)) return known->evaluation;
    const auto evaluation = evaluator_->evaluate(variant.plan);
    if (!evaluation) throw Stopped();
    result_.steps.push_back({variant.plan, *evaluation, latency(variant.plan),
                             message(variant.name, ", measured faster than the plan found, ",
                                     evaluation->passed ? "keeps enough" : "loses too much")});
    return *evaluation;
  }

  /// The plan simulated where it was scored in the engine, and the other way round.
  void score_otherwise() {
    PlanEvaluator other(make_runner(!deployed_, result_.calibration), *evaluator_);
    result_.other_score = other.evaluate(result_.plan);
    if (!result_.other_score) throw Stopped();
    result_.other_scored_in = deployed_ ? "simulation" : engine_name();
    result_.forward_passes += other.forward_passes();
  }

  void score_report(const Plan& baseline) {
    const auto evaluator = make_evaluator(*data_.report);
    result_.baseline.report = evaluator->measure_baseline(baseline);
    if (result_.baseline.report)
      result_.result.report = result_.plan == baseline ? result_.baseline.report : evaluator->evaluate(result_.plan);
    result_.forward_passes += evaluator->forward_passes();
    if (!result_.result.report) throw Stopped();
  }

  const Model& model_;
  const QuantizeData& data_;
  QuantizeOptions options_;
  QuantizeParts parts_;
  const Monitor& monitor_;
  std::vector<Gate> gates_;  ///< loosest first
  bool measures_latency_ = false;
  bool deployed_ = false;
  FloatType float_type_ = FloatType::BFloat16;  ///< of what the engine does not run in integers
  std::unique_ptr<PlanEvaluator> evaluator_;
  OrderFn order_;              ///< empty until the search asks
  double seconds_within_ = 0;  ///< of stages that ran within the one under way
  RunResult result_;
};

}  // namespace

RunResult quantize(const Model& model, const QuantizeData& data, const QuantizeOptions& options,
                   const QuantizeParts& parts, const Monitor& monitor) {
  require_valid("options", validate(options));
  if (model.sites.empty())
    throw Error(Errc::InvalidArgument,
                "the model has no sites: call prepare(model) after capture; a network without "
                "convolutions or linear layers has nothing to quantize");
  if (options.scoring == Scoring::Deployed && !parts.engine)
    throw Error(Errc::InvalidArgument, "scoring is Deployed, and there is no engine: give parts.engine");
  return Run(model, data, options, parts, monitor).run();
}

}  // namespace halftone
