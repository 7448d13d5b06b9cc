#include "quantize/setup.hpp"

#include <ATen/Version.h>
#include <nlohmann/json.hpp>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include "core/code_version.hpp"
#include "engine/cpu_features.hpp"
#include "halftone/core/error.hpp"
#include "halftone/engine/deployed_evaluator.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/latency/roofline.hpp"
#include "halftone/search/bisection.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "quantize/same_machine.hpp"

namespace halftone::internal {
namespace {

std::vector<Gate> ordered_gates(const QuantizeOptions& options) {
  if (options.latency_target) return {{.kind = GateKind::Damage, .budget = std::numeric_limits<double>::max()}};
  if (options.gates.empty()) return {{.keep = options.keep}};
  std::vector<Gate> gates = options.gates;
  std::stable_sort(gates.begin(), gates.end(), [](const Gate& a, const Gate& b) { return a.is_looser_than(b); });
  return gates;
}

void fill_in(QuantizeParts& parts) {
  if (!parts.task) parts.task = make_top_k(1);
  if (!parts.metric) parts.metric = make_interlayer();
  if (!parts.order) parts.order = parts.metric->gives_pairs() ? nested_order() : gain_order();
  if (!parts.search) parts.search = std::make_shared<const Bisection>();
  if (!parts.latency && !parts.engine)
    parts.latency = std::make_shared<const RooflineLatency>(roofline_devices().front());
}

}  // namespace

Setup::Setup(const Model& network, const QuantizeData& parts_of_data, const QuantizeOptions& given,
             const QuantizeParts& pieces, const Monitor& watch, Team* ranks, const Finishing* fine_tuning)
    : model(network),
      data(parts_of_data),
      options(given),
      parts(pieces),
      monitor(watch),
      team(ranks),
      gates(ordered_gates(given)),
      model_digest(digest(network)),
      finishing(fine_tuning) {
  measures_latency = !parts.latency && parts.engine;
  fill_in(parts);
  if (parts.order->needs_pairs && !parts.metric->gives_pairs())
    throw Error(Errc::InvalidArgument,
                message("order ", parts.order->name, " needs pairs of sites, which metric ", parts.metric->name(),
                        " does not give: take one that does (gives_pairs), such as interlayer, or another order"));
  deployed = options.scoring == Scoring::Deployed || (options.scoring == Scoring::Automatic && parts.engine);
  options.precisions = ordered_precisions(options.precisions);
  if (!options.rules.empty()) units.emplace(model.sites, options.rules, options.precisions);
  if (parts.engine) float_type = options.float_type.value_or(preferred_float(*parts.engine));
  if (measures_latency) require_measurable(*parts.engine, options.precisions, latency_options());
  if (options.threads == 0) options.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

Plan Setup::uniform(Precision precision) const {
  const Plan plan = Plan::uniform(model.sites.size(), precision);
  return units ? units->constrain(plan) : plan;
}

bool Setup::is_allowed(const Plan& plan) const {
  if (units && !units->obeys(plan)) return false;
  return std::all_of(plan.precisions.begin(), plan.precisions.end(), [&](Precision precision) {
    return std::find(options.precisions.begin(), options.precisions.end(), precision) != options.precisions.end();
  });
}

double Setup::now() const {
  if (team != nullptr) return team->seconds();
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

nlohmann::json Setup::from_first(const char* what, const std::function<nlohmann::json(const Monitor&)>& make) const {
  if (team == nullptr) {
    nlohmann::json made = make(monitor);
    if (made.is_null()) throw Stopped();
    return made;
  }
  Monitor own = monitor;
  own.should_stop = [&] { return team->wishes_to_stop(); };
  return nlohmann::json::from_cbor(team->from_first(what, [&] {  // CBOR has a word for infinity
    const nlohmann::json made = make(own);
    if (made.is_null()) throw Stopped();
    std::string bytes;
    nlohmann::json::to_cbor(made, bytes);
    return bytes;
  }));
}

namespace {

/// All options that results depend on; the number of threads is not one of them.
std::string describe(const Setup& setup) {
  const QuantizeOptions& o = setup.options;
  const QuantizeParts& parts = setup.parts;
  std::string text = message(parts.metric->identity(), ", ", parts.order->name, ", ", parts.search->name(), ", ",
                             parts.latency ? parts.latency->name() + ' ' + parts.latency->origin() : "measured", ", ",
                             parts.engine ? parts.engine->name() + ' ' + parts.engine->version() : "no engine");
  for (const Gate& gate : setup.gates) text += ", " + to_string(gate);
  if (o.latency_target) text += message(", within ", o.latency_target->limit, " or ", o.latency_target->change);
  text += message(", limits ", o.limits.most_evaluations, ' ', o.limits.most_seconds, ' ', o.limits.repairs,
                  ", precisions");
  for (const Precision precision : o.precisions) text += ' ' + to_string(precision);
  for (const RangeOptions& range : {o.input_range, o.weight_range})
    text += message(", ranges ", to_string(range.method), ' ', range.percentile, ' ', range.candidates);
  for (const SiteRule& rule : o.rules) text += ", rule " + to_string(rule);
  std::string latencies;  // of a model that is given: a table's content is not in its name
  if (parts.latency)
    for (const Precision precision : o.precisions) latencies += message(' ', setup.latency(setup.uniform(precision)));
  return message(text, ", adjust ", to_string(o.adjust_ranges), ", sense ", o.sense_samples, ", batch ", o.batch_size,
                 ", seed ", o.seed, ", scoring ", static_cast<int>(o.scoring), ", compare ", o.compare_samples,
                 ", latency of ", o.latency_batch, " in ", o.latency_threads, o.journal.empty() ? "" : ", journal",
                 ", ", to_string(setup.float_type), ", adjusting ", o.adjust.steps, ' ', o.adjust.step_samples, ' ',
                 o.adjust.learning_rate, ' ', o.adjust.held_out, ", latencies", latencies);
}

}  // namespace

void Setup::require_same_everywhere() const {
  if (team == nullptr) return;
  require_same_machine(*team);
  team->require_same("the network", model_digest);
  team->require_same("task", parts.task->identity());
  const std::string text = describe(*this);
  team->require_same("their options", Digest().add(text).hex() + " of " + text);
  team->require_same("options of fine-tuning", finishing != nullptr ? finishing->finisher.identity() : "none");
}

MeasureLatencyOptions Setup::latency_options() const {
  return {.batch = options.latency_batch,
          .threads = options.latency_threads,
          .float_type = float_type,
          .cache = options.latency_cache,
          .seed = options.seed};
}

EvaluatorOptions Setup::evaluator_options() const {
  return {.gate = gates.back(),
          .batch_size = options.batch_size,
          .threads = options.threads,
          .early_stop = true,
          .team = team};
}

std::unique_ptr<PlanRunner> Setup::make_runner(bool in_engine, const Model& network,
                                               const Calibration& calibration) const {
  return in_engine ? deploy(network, calibration, parts.engine, evaluator_options(), float_type)
                   : simulate(network, calibration);
}

Digest Setup::fingerprint() const {
  Digest all;
  all.add(code_version()).add(TORCH_VERSION).add(cpu_identity()).add(at::get_cpu_capability());
  all.add(model_digest).add(parts.task->identity());
  for (const Site& site : model.sites) all.add(site.name);  // which sites there are is an option
  return all;
}

std::string Setup::scoring_fingerprint(bool in_engine, const Calibration& calibration,
                                       const std::string& data_digest) const {
  Digest all = fingerprint();
  all.add(nlohmann::json(calibration).dump()).add(data_digest).add(options.batch_size);
  all.add(in_engine ? engine_name() + ' ' + to_string(float_type) : "simulation");
  return all.hex();
}

}  // namespace halftone::internal
