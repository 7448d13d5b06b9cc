#include "report/headline.hpp"

#include "halftone/core/error.hpp"
#include "report/outcome.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

namespace halftone::internal {
namespace {

HeadlineFigure quality(const RunResult& run) {
  const ScoreText scores(run);
  const Evaluation& result = run.result.evaluation;
  std::string noun = scores.noun();
  noun[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(noun[0])));
  const std::string interval =
      result.ended_early() ? "not scored on all samples" : "95 % interval " + scores.interval(result);
  const std::string asked = run.latency_target ? "" : asked_for(run, run.gate) + " asked for; ";
  const bool by_damage = run.gate.kind == GateKind::Damage && !run.latency_target;
  return {.label = noun + " kept",
          .value = scores.kept(result, run.baseline.evaluation),
          .basis = run.scored_in == "simulation" ? "simulated"
                   : run.scored_in.empty()       ? ""
                                                 : "deployed",
          .detail =
              message(interval, "; ", by_damage ? "" : asked, "damage ", scores.damage(result),
                      by_damage ? ", " + asked_for(run, run.gate) + " asked for" : "", "; ",
                      run.scored_in == "simulation" || run.scored_in.empty() ? "" : "scored in " + run.scored_in + ", ",
                      grouped(result.samples), " samples")};
}

std::string engine_text(const RunResult& run) {
  return message(run.engine->full_name(), ", batch ", run.measured->batch, ", ", run.engine->threads,
                 run.engine->threads == 1 ? " thread" : " threads", ", else in ", run.engine->float_type);
}

HeadlineFigure measured(const RunResult& run, const std::string& against, const Timing& other) {
  const std::string interval = measured_interval(run.measured->plan, other);
  return {.label = "Latency against " + against,
          .value = measured_change(run.measured->plan, other),
          .basis = "measured",
          .detail = message(interval.empty() ? "" : "95 % interval " + interval + ", turns side by side; ",
                            engine_text(run))};
}

HeadlineFigure estimated(const RunResult& run, const std::string& against, double other) {
  return {.label = "Latency against " + against,
          .value = change(other, run.result.predicted_latency),
          .basis = run.latency_measured ? "predicted" : "modelled",
          .detail = message(with_unit(run.result.predicted_latency, run.latency_unit), " against ",
                            with_unit(other, run.latency_unit), "; ", run.latency_origin)};
}

void add_latencies(const RunResult& run, std::vector<HeadlineFigure>& figures) {
  const bool is_all_8 = run.plan == Plan::uniform(run.plan.size(), k8);
  if (run.measured) {
    figures.push_back(measured(run, "16 bits", run.measured->baseline));
    const auto all_8 = run.measured->uniform.find("8");
    if (!is_all_8 && all_8 != run.measured->uniform.end())
      figures.push_back(measured(run, "all at 8 bits", all_8->second));
    return;
  }
  if (!(run.baseline.predicted_latency > 0 && run.result.predicted_latency > 0)) return;
  figures.push_back(estimated(run, "16 bits", run.baseline.predicted_latency));
  const auto all_8 = run.uniform_latency.find("8");
  if (!is_all_8 && all_8 != run.uniform_latency.end())
    figures.push_back(estimated(run, "all at 8 bits", all_8->second));
}

}  // namespace

std::vector<HeadlineFigure> headline(const RunResult& run) {
  if (run.result.evaluation.samples == 0 || run.baseline.evaluation.samples == 0) return {};
  std::vector<HeadlineFigure> figures{quality(run)};
  add_latencies(run, figures);
  const WeightBytes bytes = weight_bytes(run);
  figures.push_back({.label = "Size of weights",
                     .value = change(bytes.baseline, bytes.plan),
                     .basis = "computed",
                     .detail = message(bytes_text(bytes.plan), " against ", bytes_text(bytes.baseline),
                                       "; sites: ", short_composition(run.plan), " bits")});
  return figures;
}

}  // namespace halftone::internal
