#include "quantize/setup.hpp"

#include <ATen/Version.h>
#include <nlohmann/json.hpp>
#include <torch/version.h>

#include <algorithm>
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
             const QuantizeParts& pieces, const Monitor& watch)
    : model(network),
      data(parts_of_data),
      options(given),
      parts(pieces),
      monitor(watch),
      gates(ordered_gates(given)),
      model_digest(digest(network)) {
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

MeasureLatencyOptions Setup::latency_options() const {
  return {.batch = options.latency_batch,
          .threads = options.latency_threads,
          .float_type = float_type,
          .cache = options.latency_cache,
          .seed = options.seed};
}

EvaluatorOptions Setup::evaluator_options() const {
  return {.gate = gates.back(), .batch_size = options.batch_size, .threads = options.threads, .early_stop = true};
}

std::unique_ptr<PlanRunner> Setup::make_runner(bool in_engine, const Calibration& calibration) const {
  return in_engine ? deploy(model, calibration, parts.engine, evaluator_options(), float_type)
                   : simulate(model, calibration);
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
