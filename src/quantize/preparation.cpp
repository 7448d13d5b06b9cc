#include "quantize/preparation.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <set>
#include <utility>

#include "calibrate/token_ids.hpp"
#include "halftone/adjust/weight_method.hpp"
#include "halftone/core/error.hpp"
#include "quantize/kept_json.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

namespace halftone::internal {

void Preparation::read_data() {
  const auto read = [&](const Dataset& data) {
    require_known_ids(setup_.model.graph, data);
    auto digest = data.digest(setup_.options.threads, setup_.monitor);
    if (!digest) throw Stopped();
    return std::move(*digest);
  };
  result_.calibration_data.digest = read(setup_.data.calibration);
  result_.validation_data.digest = read(setup_.data.validation);
  if (setup_.data.report != nullptr) result_.report_data->digest = read(*setup_.data.report);
  if (setup_.finishing != nullptr) {
    result_.training_data->digest = read(setup_.finishing->training);
    refuse_training_on_tests();
  }
  if (setup_.team == nullptr) return;
  setup_.team->require_same("the calibration data", result_.calibration_data.digest);
  setup_.team->require_same("the validation data", result_.validation_data.digest);
  setup_.team->require_same("the training data", result_.training_data ? result_.training_data->digest : "none");
  setup_.team->require_same("the report part", setup_.data.report != nullptr ? result_.report_data->digest : "none");
}

void Preparation::refuse_training_on_tests() const {
  const auto refuse = [&](const char* what, const std::string& digest) {
    if (result_.training_data->digest == digest)
      throw Error(Errc::InvalidArgument,
                  message("the training data ", result_.training_data->name, " holds the samples of the ", what,
                          ": their score would say nothing of others; give other samples"));
  };
  refuse("validation data", result_.validation_data.digest);
  if (result_.report_data) refuse("report part", result_.report_data->digest);
}

/// What ranges depend on.
Digest Preparation::calibration_key() const {
  const QuantizeOptions& options = setup_.options;
  Digest key = setup_.fingerprint();
  key.add(result_.calibration_data.digest).add(static_cast<std::int64_t>(options.seed)).add(options.batch_size);
  for (const RangeOptions& range : {options.input_range, options.weight_range})
    key.add(to_string(range.method)).add(std::bit_cast<std::int64_t>(range.percentile)).add(range.candidates);
  for (const Precision precision : options.precisions) key.add(to_string(precision));
  return key;
}

void Preparation::calibrate() {
  const Digest key = calibration_key();
  std::optional<ChosenWeights> chosen = memory_.find("calibration", key, kept_weights);
  if (!chosen) {
    const QuantizeOptions& options = setup_.options;
    chosen = calibrate_and_choose(setup_.model, setup_.data.calibration, *setup_.parts.task, options.precisions,
                                  {.input = options.input_range,
                                   .weight = options.weight_range,
                                   .batch_size = options.batch_size,
                                   .threads = options.threads,
                                   .team = setup_.team},
                                  options.seed, setup_.monitor);
    if (!chosen) throw Stopped();
    memory_.keep("calibration", key, to_kept(*chosen));
  }
  result_.calibration = std::move(chosen->calibration);
  result_.weight_methods = std::move(chosen->choices);
  describe_activations();
  result_.forward_passes += chosen->forward_passes;
}

/// Before ranges are adjusted: what adjusted ones do to the values is not known.
void Preparation::describe_activations() {
  for (const SiteRanges& site : result_.calibration.sites) {
    const auto eight = site.input.find(8);
    if (eight == site.input.end()) return;
    const double largest = std::max(-site.input_min, site.input_max);
    const double power = site.input_rms * site.input_rms;
    result_.activations.push_back(power > 0 ? ActivationFigures{.peak = largest / site.input_rms,
                                                                .error = eight->second.mean_squared_error / power}
                                            : ActivationFigures{});
  }
}

void Preparation::adjust_uniform_plans() {
  std::set<int> inputs{16};
  std::set<int> weights{16};
  for (const Precision precision : setup_.options.precisions) {
    const bool new_inputs = inputs.insert(precision.activation_bits).second;
    const bool new_weights = weights.insert(precision.weight_bits).second;
    if (!new_inputs && !new_weights) continue;
    result_.calibration = adjust(setup_.uniform(precision), new_inputs, new_weights).calibration;
  }
}

AdjustedRanges Preparation::adjust(const Plan& plan, bool inputs, bool weights) {
  AdjustOptions options = setup_.options.adjust;
  options.inputs = options.inputs && inputs;
  options.weights = options.weights && weights;
  options.batch_size = setup_.options.batch_size;
  options.threads = setup_.options.threads;
  options.seed = setup_.options.seed;
  options.team = setup_.team;
  AdjustedRanges adjusted = adjust_ranges(setup_.model, result_.calibration, setup_.data.calibration,
                                          *setup_.parts.task, plan, options, setup_.monitor);
  adjusted.record.plan = composition(plan);
  result_.adjustments.push_back(adjusted.record);
  result_.forward_passes += adjusted.record.forward_passes;
  result_.backward_passes += adjusted.record.backward_passes;
  if (adjusted.record.stopped) throw Stopped();
  return adjusted;
}

void Preparation::measure_latencies() {
  if (!find_latency()) {
    const nlohmann::json made = setup_.from_first("measuring latencies", [&](const Monitor& monitor) -> nlohmann::json {
      std::vector<std::string> notes;
      const auto fitted = measure_latency(*setup_.parts.engine, setup_.model, result_.calibration,
                                          setup_.options.precisions, setup_.latency_options(), monitor, &notes);
      if (!fitted) return {};
      return {{"measurements", fitted->measurements()}, {"notes", notes}};
    });
    const nlohmann::json& measured = made.at("measurements");
    for (const nlohmann::json& note : made.at("notes")) result_.notes.push_back(note);
    memory_.keep("latency", latency_key(), measured);
    set_latency(read_latency(measured));
  }
  predict();
}

/// A run that goes on must go on with the latencies that it began with, however well they fit.
bool Preparation::find_latency() {
  auto kept = memory_.find("latency", latency_key(), [&](const nlohmann::json& json) { return read_latency(json); });
  if (!kept) return false;
  set_latency(*std::move(kept));
  return true;
}

MeasuredLatency Preparation::read_latency(const nlohmann::json& json) const {
  return {parse_latency_measurements(json.dump(), "latencies kept"), setup_.model.sites};
}

Digest Preparation::latency_key() const {
  const MeasureLatencyOptions options = setup_.latency_options();
  Digest key = setup_.fingerprint();
  key.add(setup_.engine_name()).add(options.batch).add(options.threads).add(to_string(options.float_type));
  key.add(static_cast<std::int64_t>(options.seed));
  for (const Precision precision : setup_.options.precisions) key.add(to_string(precision));
  return key;
}

void Preparation::set_latency(MeasuredLatency measured) {
  if (measured.fits_poorly())
    result_.notes.push_back(message("The measured latencies fit poorly (median error ", percent(measured.error(), 1),
                                    " on networks left out), as on a machine that is busy with other things: the "
                                    "next fresh run measures anew."));
  setup_.parts.latency = std::make_shared<const MeasuredLatency>(std::move(measured));
}

void Preparation::compile_once() const {
  (void)setup_.parts.engine->compile(setup_.model, setup_.uniform(setup_.options.precisions.back()),
                                     result_.calibration,
                                     {.batch = setup_.options.latency_batch,
                                      .threads = setup_.options.latency_threads,
                                      .float_type = setup_.float_type});
}

void Preparation::predict() {
  const LatencyModel& latency = *setup_.parts.latency;
  result_.latency_model = latency.name();
  result_.latency_origin = latency.origin();
  result_.latency_unit = latency.unit();
  result_.latency_measured = setup_.measures_latency;
  result_.latency_batch = latency.batch();
  result_.baseline.predicted_latency = setup_.latency(setup_.baseline());
  for (const Precision precision : setup_.options.precisions)
    result_.uniform_latency[to_string(precision)] = setup_.latency(setup_.uniform(precision));
}

}  // namespace halftone::internal
