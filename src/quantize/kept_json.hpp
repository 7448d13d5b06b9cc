#pragma once

#include <nlohmann/json_fwd.hpp>

#include "halftone/adjust/weight_method.hpp"
#include "halftone/engine/measure.hpp"
#include "halftone/evaluate/evaluation.hpp"
#include "halftone/report/run_result.hpp"

/// Results as a run's journal holds them: read by the build that wrote them, nobody else.
namespace halftone::internal {

nlohmann::json to_kept(const Evaluation& evaluation);
nlohmann::json to_kept(const OtherScore& other);
nlohmann::json to_kept(const ChosenWeights& chosen);
nlohmann::json to_kept(const Measurement& measurement);

/// Each throws nlohmann's exceptions, or `Error`, where `kept` is something else.
Evaluation kept_evaluation(const nlohmann::json& kept);
OtherScore kept_other_score(const nlohmann::json& kept);
ChosenWeights kept_weights(const nlohmann::json& kept);
Measurement kept_measurement(const nlohmann::json& kept);

}  // namespace halftone::internal
