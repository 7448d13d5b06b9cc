#pragma once

#include <nlohmann/json.hpp>

#include <cmath>

#include "halftone/evaluate/evaluation.hpp"

namespace halftone::internal {

/// The figures of one evaluation under the names they have everywhere; null where no sample was scored.
inline nlohmann::json figures_json(const Evaluation& evaluation) {
  const bool known = evaluation.samples > 0;
  const auto or_null = [known](const nlohmann::json& figure) { return known ? figure : nlohmann::json(); };
  // JSON has no infinity: a score may still be anything where the task knows no limit.
  const auto finite = [&](double figure) { return std::isfinite(figure) ? or_null(figure) : nlohmann::json(); };
  return {{"score", finite(evaluation.score)},
          {"score_count", finite(evaluation.score_count)},
          {"samples", evaluation.samples},
          {"samples_scored", evaluation.samples - evaluation.unscored},
          {"damage", or_null(evaluation.damage)},
          {"interval",
           evaluation.ended_early() ? nlohmann::json() : or_null({evaluation.interval.low, evaluation.interval.high})},
          {"score_error", or_null(evaluation.score_error)},
          {"score_span", or_null(evaluation.score_span)}};
}

}  // namespace halftone::internal
