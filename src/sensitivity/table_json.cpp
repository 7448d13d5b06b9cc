#include <nlohmann/json.hpp>

#include <utility>

#include "core/json_field.hpp"
#include "halftone/sensitivity/table.hpp"

namespace halftone {

using internal::JsonField;

void to_json(nlohmann::json& json, const SensitivityTable& table) {
  nlohmann::json scores = nlohmann::json::array();
  for (const auto& site : table.scores) {
    nlohmann::json by_precision = nlohmann::json::object();
    for (const auto& [precision, score] : site) by_precision[to_string(precision)] = score;
    scores.push_back(std::move(by_precision));
  }
  json = {{"metric", table.metric},
          {"scores", std::move(scores)},
          {"forward_passes", table.forward_passes},
          {"backward_passes", table.backward_passes},
          {"seconds", table.seconds}};
}

void from_json(const nlohmann::json& json, SensitivityTable& table) {
  const JsonField field(json, "sensitivity");
  field.expect_keys({"metric", "scores", "forward_passes", "backward_passes", "seconds"});
  SensitivityTable read;
  read.metric = field["metric"].text();
  field["scores"].each_element([&](const JsonField& site) {
    auto& scores = read.scores.emplace_back();
    site.each_precision([&](Precision precision, const JsonField& score) { scores[precision] = score.number(); });
  });
  read.forward_passes = field["forward_passes"].integer(0);
  read.backward_passes = field["backward_passes"].integer(0);
  read.seconds = field["seconds"].number_not_negative();
  table = std::move(read);
}

}  // namespace halftone
