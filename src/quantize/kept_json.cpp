#include "quantize/kept_json.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

namespace halftone::internal {

using nlohmann::json;

namespace {

/// JSON has no infinity: what is certain of an evaluation that ended early may be one.
json finite_or_null(double number) { return std::isfinite(number) ? json(number) : json(); }
double number_or_infinity(const json& kept) {
  return kept.is_null() ? std::numeric_limits<double>::infinity() : kept.get<double>();
}

}  // namespace

json to_kept(const Evaluation& e) {
  return {e.plan_digest,
          finite_or_null(e.score),
          finite_or_null(e.score_count),
          e.samples,
          e.unscored,
          e.damage,
          e.interval.low,
          e.interval.high,
          e.score_error,
          e.score_span,
          e.passed,
          e.seconds};
}

Evaluation kept_evaluation(const json& kept) {
  return {.plan_digest = kept.at(0),
          .score = number_or_infinity(kept.at(1)),
          .score_count = number_or_infinity(kept.at(2)),
          .samples = kept.at(3),
          .unscored = kept.at(4),
          .damage = kept.at(5),
          .interval = {kept.at(6), kept.at(7)},
          .score_error = kept.at(8),
          .score_span = kept.at(9),
          .passed = kept.at(10),
          .seconds = kept.at(11)};
}

json to_kept(const OtherScore& other) {
  json same;
  if (other.same_samples) same = {to_kept(other.same_samples->baseline), to_kept(other.same_samples->plan)};
  return {other.scored_in, to_kept(other.evaluation), same};
}

OtherScore kept_other_score(const json& kept) {
  OtherScore other{.scored_in = kept.at(0), .evaluation = kept_evaluation(kept.at(1)), .same_samples = {}};
  const json& same = kept.at(2);
  if (!same.is_null()) other.same_samples = {kept_evaluation(same.at(0)), kept_evaluation(same.at(1))};
  return other;
}

json to_kept(const ChosenWeights& chosen) {
  json choices = json::array();
  for (const WeightMethodChoice& choice : chosen.choices) {
    json trials = json::array();
    for (const auto& trial : choice.trials) trials.push_back({to_string(trial.method), trial.damage});
    choices.push_back({choice.bits, to_string(choice.precision), to_string(choice.chosen), trials, choice.samples});
  }
  return {chosen.calibration, choices, chosen.forward_passes};
}

ChosenWeights kept_weights(const json& kept) {
  ChosenWeights chosen{.calibration = kept.at(0).get<Calibration>(), .choices = {}, .forward_passes = kept.at(2)};
  for (const json& entry : kept.at(1)) {
    WeightMethodChoice choice{.bits = entry.at(0),
                              .precision = parse_precision(entry.at(1).get<std::string>()),
                              .chosen = parse_range_method(entry.at(2)),
                              .trials = {},
                              .samples = entry.at(4)};
    for (const json& trial : entry.at(3)) choice.trials.push_back({parse_range_method(trial.at(0)), trial.at(1)});
    chosen.choices.push_back(std::move(choice));
  }
  return chosen;
}

json to_kept(const Measurement& measurement) {
  json timings = json::array();
  for (const Timing& t : measurement.timings)
    timings.push_back({t.minimum, t.median, t.low, t.high, t.spread, t.passes, t.samples});
  return {timings, measurement.seconds, measurement.load_before, measurement.load_after, measurement.precise};
}

Measurement kept_measurement(const json& kept) {
  Measurement measurement{
      .timings = {}, .seconds = kept.at(1), .load_before = kept.at(2), .load_after = kept.at(3), .precise = kept.at(4)};
  for (const json& t : kept.at(0))
    measurement.timings.push_back({.minimum = t.at(0),
                                   .median = t.at(1),
                                   .low = t.at(2),
                                   .high = t.at(3),
                                   .spread = t.at(4),
                                   .passes = t.at(5),
                                   .samples = t.at(6).get<std::vector<double>>()});
  return measurement;
}

}  // namespace halftone::internal
