#include "halftone/quantize.hpp"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <chrono>
#include <thread>

#include "halftone/core/options.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/latency/roofline.hpp"
#include "halftone/search/bisection.hpp"
#include "halftone/version.hpp"

namespace halftone {

namespace {

DataPart describe(const Dataset& data) { return {data.name(), data.digest(), data.size()}; }

/// Runs the stages one after the other into one result.
class Run {
 public:
  Run(const Model& model, const QuantizeData& data, const QuantizeOptions& options, const QuantizeParts& parts,
      const Monitor& monitor)
      : model_(model), data_(data), options_(options), parts_(parts), monitor_(monitor) {
    if (!parts_.task) parts_.task = make_top_k(1);
    if (!parts_.metric) parts_.metric = make_quantization_error();
    if (!parts_.search) parts_.search = std::make_shared<const Bisection>();
    if (!parts_.latency) parts_.latency = std::make_shared<const RooflineLatency>(roofline_devices().front());
    options_.precisions = ordered_precisions(options_.precisions);
    if (options_.threads == 0) options_.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    describe_run();
  }

  RunResult run() {
    const Plan baseline = Plan::uniform(model_.sites.size(), k16);
    predict_latencies(baseline);
    finish_with(baseline, RunStatus::Stopped, {});
    try {
      timed("calibrate", [&] { calibrate_ranges(); });
      timed("baseline", [&] { score_baseline(baseline); });
      timed("sense", [&] { score_sensitivity(); });
      timed("search", [&] { search(); });
      if (data_.report != nullptr && result_.status != RunStatus::Stopped)
        timed("report", [&] { score_report(baseline); });
    } catch (const Stopped&) {
      result_.status = RunStatus::Stopped;
    }
    if (evaluator_) result_.forward_passes += evaluator_->forward_passes();
    for (std::size_t site = 0; site < result_.plan.size(); ++site)
      result_.site_saving.push_back(parts_.latency->gain(model_.sites, baseline, site, result_.plan[site]));
    return std::move(result_);
  }

 private:
  void describe_run() {
    result_.model_digest = digest(model_);
    result_.sites = model_.sites;
    result_.keep = options_.keep;
    result_.task = parts_.task->name();
    result_.metric = parts_.metric->name();
    result_.search = parts_.search->name();
    result_.precisions = options_.precisions;
    result_.seed = options_.seed;
    result_.threads = options_.threads;
    result_.batch_size = options_.batch_size;
    result_.range_input = to_string(options_.input_range.method);
    result_.range_weight = to_string(options_.weight_range.method);
    result_.latency_model = parts_.latency->name();
    result_.latency_origin = parts_.latency->origin();
    result_.latency_unit = parts_.latency->unit();
    result_.latency_batch = parts_.latency->batch();
    result_.calibration_data = describe(data_.calibration);
    result_.validation_data = describe(data_.validation);
    if (data_.report != nullptr) result_.report_data = describe(*data_.report);
    result_.environment = {{"halftone", HALFTONE_VERSION},
                           {"libtorch", TORCH_VERSION},
                           {"compiler", __VERSION__},
                           {"cpu_capability", at::get_cpu_capability()},
                           {"cores", std::to_string(std::thread::hardware_concurrency())}};
  }

  template <class Stage>
  void timed(const char* name, const Stage& stage) {
    const auto start = std::chrono::steady_clock::now();
    struct Record {  // also when the stage is stopped
      RunResult& result;
      const char* name;
      std::chrono::steady_clock::time_point start;
      ~Record() {
        result.seconds.emplace_back(name,
                                    std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      }
    } record{result_, name, start};
    stage();
  }

  [[nodiscard]] double latency(const Plan& plan) const { return parts_.latency->estimate(model_.sites, plan); }

  void finish_with(const Plan& plan, RunStatus status, const Evaluation& evaluation) {
    result_.status = status;
    result_.plan = plan;
    result_.result.evaluation = evaluation;
    result_.result.predicted_latency = latency(plan);
  }

  /// Before any pass over data: a latency model that lacks a site or a precision fails at once.
  void predict_latencies(const Plan& baseline) {
    result_.baseline.predicted_latency = latency(baseline);
    for (const Precision precision : options_.precisions)
      result_.uniform_latency[to_string(precision)] = latency(Plan::uniform(model_.sites.size(), precision));
  }

  void calibrate_ranges() {
    result_.calibration = calibrate(model_, data_.calibration, options_.precisions,
                                    {.input = options_.input_range,
                                     .weight = options_.weight_range,
                                     .batch_size = options_.batch_size,
                                     .threads = options_.threads},
                                    monitor_);
    if (result_.calibration.sites.empty()) throw Stopped();
    ++result_.forward_passes;
  }

  [[nodiscard]] std::unique_ptr<SimulatedEvaluator> make_evaluator(const Dataset& data) const {
    const EvaluatorOptions options{
        .gate = {.keep = options_.keep}, .batch_size = options_.batch_size, .threads = options_.threads};
    return std::make_unique<SimulatedEvaluator>(model_, result_.calibration, data, *parts_.task, options, monitor_);
  }

  void score_baseline(const Plan& baseline) {
    evaluator_ = make_evaluator(data_.validation);
    const auto evaluation = evaluator_->measure_baseline(baseline);
    if (!evaluation) throw Stopped();
    result_.float_score = evaluator_->float_score();
    result_.baseline.evaluation = *evaluation;
    finish_with(baseline, RunStatus::Stopped, *evaluation);
  }

  void score_sensitivity() {
    const std::span<const Precision> all = options_.precisions;
    const auto lowered = all.front() == k16 ? all.subspan(1) : all;
    result_.sensitivity = parts_.metric->measure({.model = model_,
                                                  .calibration = result_.calibration,
                                                  .data = data_.calibration,
                                                  .task = *parts_.task,
                                                  .precisions = lowered,
                                                  .seed = options_.seed,
                                                  .batch_size = options_.batch_size,
                                                  .threads = options_.threads,
                                                  .monitor = monitor_});
    result_.forward_passes += result_.sensitivity.forward_passes;
    result_.backward_passes += result_.sensitivity.backward_passes;
  }

  void search() {
    const bool from_16 = options_.precisions.front() == k16;
    if (!from_16 && !start_passes()) return;
    const Evaluation start = result_.result.evaluation;
    const OrderFn order = order_by_score(result_.sensitivity);
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
    result_.steps.push_back({start, *evaluation,
                             evaluation->passed ? message("all sites at ", precision, " bits pass")
                                                : message("all sites at ", precision,
                                                          " bits, the highest precision allowed, lose too much")});
    finish_with(start, evaluation->passed ? RunStatus::Met : RunStatus::Missed, *evaluation);
    return evaluation->passed;
  }

  void score_report(const Plan& baseline) {
    const auto evaluator = make_evaluator(*data_.report);
    result_.baseline.report = evaluator->measure_baseline(baseline);
    if (result_.baseline.report)
      result_.result.report = result_.plan == baseline ? result_.baseline.report : evaluator->evaluate(result_.plan);
    result_.forward_passes += evaluator->forward_passes();
  }

  const Model& model_;
  const QuantizeData& data_;
  QuantizeOptions options_;
  QuantizeParts parts_;
  const Monitor& monitor_;
  std::unique_ptr<SimulatedEvaluator> evaluator_;
  RunResult result_;
};

}  // namespace

std::vector<std::string> validate(const QuantizeOptions& options) {
  std::vector<std::string> violations;
  if (!(options.keep > 0 && options.keep <= 1))
    violations.push_back(message("keep is ", options.keep, ": a share in (0, 1] is needed, e.g. 0.999"));
  if (options.batch_size < 1) violations.push_back(message("batch_size is ", options.batch_size, ": at least 1"));
  if (options.threads < 0) violations.push_back(message("threads is ", options.threads, ": 0 (one per core) or more"));
  for (const auto& violation : validate(options.input_range)) violations.push_back("input_range: " + violation);
  for (const auto& violation : validate(options.weight_range)) violations.push_back("weight_range: " + violation);
  return violations;
}

RunResult quantize(const Model& model, const QuantizeData& data, const QuantizeOptions& options,
                   const QuantizeParts& parts, const Monitor& monitor) {
  require_valid("options", validate(options));
  if (model.sites.empty())
    throw Error(Errc::InvalidArgument,
                "the model has no sites: call prepare(model) after capture; a network without "
                "convolutions or linear layers has nothing to quantize");
  return Run(model, data, options, parts, monitor).run();
}

}  // namespace halftone
