#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "core/json_field.hpp"
#include "halftone/sensitivity/table.hpp"
#include "sensitivity/complete_table.hpp"

namespace halftone {

using internal::JsonField;

namespace {

using ByPrecision = std::vector<std::map<Precision, double>>;

nlohmann::json numbers_json(const ByPrecision& sites) {
  nlohmann::json array = nlohmann::json::array();
  for (const auto& site : sites) {
    nlohmann::json by_precision = nlohmann::json::object();
    for (const auto& [precision, number] : site) by_precision[to_string(precision)] = number;
    array.push_back(std::move(by_precision));
  }
  return array;
}

ByPrecision read_numbers(const JsonField& field) {
  ByPrecision sites;
  field.each_element([&](const JsonField& site) {
    auto& numbers = sites.emplace_back();
    site.each_precision([&](Precision precision, const JsonField& number) { numbers[precision] = number.number(); });
  });
  return sites;
}

/// JSON has no NaN and no infinity: they are written as texts.
nlohmann::json given_json(double given) {
  if (std::isfinite(given)) return given;
  return std::isnan(given) ? "nan" : given > 0 ? "inf" : "-inf";
}

double read_given(const JsonField& field) {
  if (!field.is_text()) return field.number();
  const std::string text = field.text();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (text == "inf" || text == "-inf") return (text[0] == '-' ? -1 : 1) * std::numeric_limits<double>::infinity();
  field.fail("a number, \"nan\", \"inf\" or \"-inf\" is needed");
}

/// Errors and pairs for all scores that there are; which scores there must be is for those who know the sites.
void require_complete(const SensitivityTable& table) {
  std::set<Precision> scored;
  for (const auto& site : table.scores)
    for (const auto& [precision, score] : site) scored.insert(precision);
  const std::vector<Precision> precisions(scored.begin(), scored.end());
  if (const std::string text = internal::incompleteness(table, table.scores.size(), precisions); !text.empty())
    throw Error(Errc::BadFile, message("sensitivity: ", text));
}

}  // namespace

void to_json(nlohmann::json& json, const SensitivityTable& table) {
  json = {{"metric", table.metric},
          {"scores", numbers_json(table.scores)},
          {"forward_passes", table.forward_passes},
          {"backward_passes", table.backward_passes},
          {"seconds", table.seconds}};
  if (!table.standard_errors.empty()) json["standard_errors"] = numbers_json(table.standard_errors);
  if (table.pairs) json["pairs"] = *table.pairs;
  for (const ClampedScore& score : table.clamped)
    json["clamped"].push_back(
        {{"site", score.site}, {"precision", to_string(score.precision)}, {"given", given_json(score.given)}});
}

void from_json(const nlohmann::json& json, SensitivityTable& table) {
  const JsonField field(json, "sensitivity");
  field.expect_keys({"metric", "scores", "forward_passes", "backward_passes", "seconds"},
                    {"standard_errors", "pairs", "clamped"});
  SensitivityTable read;
  read.metric = field["metric"].text();
  read.scores = read_numbers(field["scores"]);
  if (field.has("standard_errors")) read.standard_errors = read_numbers(field["standard_errors"]);
  if (field.has("pairs")) read.pairs = json["pairs"].get<PairMatrix>();
  require_complete(read);
  if (field.has("clamped"))
    field["clamped"].each_element([&](const JsonField& entry) {
      entry.expect_keys({"site", "precision", "given"});
      const auto last = static_cast<std::int64_t>(read.scores.size()) - 1;
      read.clamped.push_back({.site = static_cast<std::size_t>(entry["site"].integer(0, last)),
                              .precision = entry["precision"].precision(),
                              .given = read_given(entry["given"])});
    });
  read.forward_passes = field["forward_passes"].number_not_negative();
  read.backward_passes = field["backward_passes"].number_not_negative();
  read.seconds = field["seconds"].number_not_negative();
  table = std::move(read);
}

}  // namespace halftone
