#include "halftone/sensitivity/sensitivity_file.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "core/json_field.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "sensitivity/complete_table.hpp"

namespace halftone {

using internal::JsonField;

namespace {

constexpr int kVersion = 1;

nlohmann::json data_json(const SensitivityData& data) {
  return {{"name", data.name}, {"digest", data.digest}, {"samples", data.samples}};
}

SensitivityData read_data(const JsonField& field) {
  field.expect_keys({"name", "digest", "samples"});
  return {.name = field["name"].text(), .digest = field["digest"].text(), .samples = field["samples"].integer(1)};
}

/// What a file leaves out would fail much later.
void require_complete(const SensitivityFile& file, const std::string& place) {
  std::set<std::string> metrics;
  for (const SensitivityTable& table : file.tables) {
    const std::string where = message(place, ": the table of metric \"", internal::shortened(table.metric), '"');
    if (!metrics.insert(table.metric).second)
      throw Error(Errc::BadFile, message(where, " is there twice: one for each metric is allowed"));
    if (const std::string text = internal::incompleteness(table, file.sites.size(), file.precisions); !text.empty())
      throw Error(Errc::BadFile, message(where, ": ", text, ": measure again with `halftone sense`"));
  }
}

std::string names(const std::vector<SensitivityTable>& tables) {
  std::string text;
  for (const SensitivityTable& table : tables) text += (text.empty() ? "" : ", ") + table.metric;
  return text;
}

std::string names(std::span<const Precision> precisions) {
  std::string text;
  for (const Precision precision : precisions) text += (text.empty() ? "" : ",") + to_string(precision);
  return text;
}

}  // namespace

void to_json(nlohmann::json& json, const SensitivityFile& file) {
  nlohmann::json precisions = nlohmann::json::array();
  for (const Precision precision : file.precisions) precisions.push_back(to_string(precision));
  nlohmann::json tables = nlohmann::json::array();
  for (const SensitivityTable& table : file.tables) tables.push_back(table);
  json = {{"version", kVersion},
          {"model", file.model},
          {"model_digest", file.model_digest},
          {"sites", file.sites},
          {"precisions", std::move(precisions)},
          {"task", file.task},
          {"calibration", data_json(file.calibration)},
          {"data", data_json(file.data)},
          {"range_input", file.range_input},
          {"range_weight", file.range_weight},
          {"seed", file.seed},
          {"eval_batch", file.batch_size},
          {"tables", std::move(tables)}};
}

SensitivityFile read_sensitivity_file(const std::filesystem::path& path) {
  const std::string place = path.string();
  const nlohmann::json json = internal::parse_json(read_text(path), place);
  const JsonField field(json, place);
  field.expect_keys({"version", "model", "model_digest", "sites", "precisions", "task", "calibration", "data",
                     "range_input", "range_weight", "seed", "eval_batch", "tables"});
  (void)field["version"].integer(kVersion, kVersion);
  SensitivityFile file;
  file.model = field["model"].text();
  file.model_digest = field["model_digest"].text();
  field["sites"].each_element([&](const JsonField& site) { file.sites.push_back(site.text()); });
  file.precisions = field["precisions"].precisions();
  file.task = field["task"].text();
  file.calibration = read_data(field["calibration"]);
  file.data = read_data(field["data"]);
  file.range_input = field["range_input"].text();
  file.range_weight = field["range_weight"].text();
  if (!json["seed"].is_number_unsigned()) field["seed"].fail("an integer of at least 0 is needed");
  file.seed = json["seed"].get<std::uint64_t>();
  file.batch_size = field["eval_batch"].integer(1);
  if (!json["tables"].is_array() || json["tables"].empty())
    field["tables"].fail("an array of at least one table is needed");
  for (std::size_t i = 0; i < json["tables"].size(); ++i) {
    try {
      file.tables.push_back(json["tables"][i].get<SensitivityTable>());
    } catch (const Error& error) {
      throw Error(error.code(), message(place, ": tables[", i, "]: ", error.what()));
    }
  }
  require_complete(file, place);
  return file;
}

const SensitivityTable& find_table(const SensitivityFile& file, const std::string& path, const std::string& metric) {
  if (metric.empty() && file.tables.size() == 1) return file.tables.front();
  const std::string wanted = metric.empty() ? "interlayer" : metric;
  const auto found = std::find_if(file.tables.begin(), file.tables.end(),
                                  [&](const SensitivityTable& table) { return table.metric == wanted; });
  if (found != file.tables.end()) return *found;
  throw Error(Errc::NotFound, metric.empty()
                                  ? message("sensitivities ", path,
                                            " are of several metrics, choose one with --metric: ", names(file.tables))
                                  : message("sensitivities ", path, ": there are none by metric \"", metric,
                                            "\", only by ", names(file.tables)));
}

void require_fits(const SensitivityFile& file, const std::string& path, const std::string& model_digest,
                  std::span<const Site> sites, std::span<const Precision> precisions) {
  const auto fail = [&](const std::string& what) {
    throw Error(Errc::InvalidArgument, message("sensitivities ", path, ": ", what,
                                               ": measure again with `halftone sense`, or leave them out"));
  };
  if (file.model_digest != model_digest)
    fail(message("they are of another network, ", file.model, " with digest ", file.model_digest, ", not ",
                 model_digest));
  const auto is_named = [](const std::string& name, const Site& site) { return name == site.name; };
  if (!std::equal(file.sites.begin(), file.sites.end(), sites.begin(), sites.end(), is_named))
    fail(message("they are of ", file.sites.size(), " sites, and the network has ", sites.size(),
                 file.sites.size() == sites.size() ? " others" : " (is --additions or --products the difference?)"));
  for (const Precision precision : precisions)
    if (std::find(file.precisions.begin(), file.precisions.end(), precision) == file.precisions.end())
      fail(message("precision ", precision, " is not among theirs, ", names(file.precisions)));
}

}  // namespace halftone
