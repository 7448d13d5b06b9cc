#include "halftone/train/mllog_rules.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <map>
#include <optional>

#include "halftone/core/error.hpp"

namespace halftone {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kToken = ":::MLLOG ";
constexpr std::array kOnce{"submission_benchmark", "submission_org", "submission_platform", "submission_division",
                           "submission_status",    "init_stop",      "run_start",           "run_stop"};

/// Empty, or what the form of `line` lacks.
std::string fault_of_form(const Json& line) {
  if (!line.is_object()) return "is no JSON object";
  for (const char* field : {"namespace", "time_ms", "event_type", "key", "value", "metadata"})
    if (!line.contains(field)) return message("has no ", field);
  if (!line["time_ms"].is_number()) return "has a time_ms that is no number";
  if (!line["key"].is_string()) return "has a key that is no text";
  const Json& metadata = line["metadata"];
  if (!metadata.is_object() || !metadata.contains("file") || !metadata.contains("lineno"))
    return "has metadata without file and lineno";
  const auto key = line["key"].get<std::string>();
  const char* const type = key.ends_with("_start")  ? "INTERVAL_START"
                           : key.ends_with("_stop") ? "INTERVAL_END"
                                                    : "POINT_IN_TIME";
  if (line["event_type"] != type) return message("is ", key, " with an event_type other than ", type);
  return {};
}

class Rules {
 public:
  void read(std::size_t number, const Json& line) {
    number_ = number;
    if (const std::string fault = fault_of_form(line); !fault.empty()) return add(fault);
    const double time = line["time_ms"].get<double>();
    need(time >= time_, "is before the line above");
    time_ = time;
    const auto key = line["key"].get<std::string>();
    ++count_[key];
    order(key, line);
    if (key == "epoch_start" || key == "eval_start") open(key, line["metadata"]);
    if (key == "epoch_stop" || key == "eval_stop") close(key, line["metadata"]);
  }

  std::vector<std::string> finish() {
    for (const char* key : kOnce)
      if (count_[key] != 1) violations_.push_back(message(key, " is there ", count_[key], " times, not once"));
    for (const char* key : {"init_start", "epoch_start", "eval_accuracy"})
      if (count_[key] == 0) violations_.push_back(message(key, " is missing"));
    return violations_;
  }

 private:
  void order(const std::string& key, const Json& line) {
    if (key.starts_with("submission_")) need(count_["run_start"] == 0, "comes after run_start");
    if (key == "init_start") need(count_["init_stop"] == 0, "comes after init_stop");
    if (key == "init_stop") need(count_["init_start"] > 0, "comes before init_start");
    if (key == "run_start") need(count_["init_stop"] > 0, "comes before init_stop");
    if (key == "run_stop") {
      need(count_["run_start"] > 0, "comes before run_start");
      need(!open_.contains("eval"), "comes inside of an evaluation");
      const Json status = line["metadata"].value("status", Json());
      need(status == "success" || status == "aborted", "needs a status of \"success\" or \"aborted\"");
    }
    if (key.starts_with("epoch_") || key.starts_with("eval_"))
      if (key != "eval_samples")
        need(count_["run_start"] > 0 && count_["run_stop"] == 0, message(key, " is outside of the run"));
    if (key == "eval_accuracy") {
      need(line["value"].is_number(), "has an eval_accuracy that is no number");
      epoch_of(line["metadata"]);
    }
  }

  /// `key` is "epoch_start" or "eval_start".
  void open(const std::string& key, const Json& metadata) {
    const std::string what = key.substr(0, key.find('_'));
    const auto epoch = epoch_of(metadata);
    need(!open_.contains(what), message("is ", key, " before the last one's stop"));
    if (what == "epoch" && epoch) {
      need(!last_epoch_ || *epoch > *last_epoch_, "begins an epoch that is not after the last");
      last_epoch_ = epoch;
    }
    open_[what] = epoch;
  }

  void close(const std::string& key, const Json& metadata) {
    const std::string what = key.substr(0, key.find('_'));
    const auto epoch = epoch_of(metadata);
    const auto begun = open_.find(what);
    if (begun == open_.end()) return add(message("is ", key, " without a start"));
    need(begun->second == epoch, message("is ", key, " of another epoch_num than its start"));
    open_.erase(begun);
  }

  std::optional<std::int64_t> epoch_of(const Json& metadata) {
    const Json epoch = metadata.value("epoch_num", Json());
    need(epoch.is_number_integer(), "needs an epoch_num");
    return epoch.is_number_integer() ? std::optional(epoch.get<std::int64_t>()) : std::nullopt;
  }

  void need(bool holds, const std::string& otherwise) {
    if (!holds) add(otherwise);
  }
  void add(const std::string& what) { violations_.push_back(message("line ", number_, " ", what)); }

  std::vector<std::string> violations_;
  std::map<std::string, int> count_;
  std::map<std::string, std::optional<std::int64_t>> open_;  ///< "epoch" and "eval"
  std::optional<std::int64_t> last_epoch_;
  double time_ = 0;
  std::size_t number_ = 0;
};

}  // namespace

std::vector<std::string> mllog_violations(std::string_view log) {
  Rules rules;
  std::size_t number = 0;
  while (!log.empty()) {
    const std::string_view line = log.substr(0, log.find('\n'));
    log.remove_prefix(std::min(log.size(), line.size() + 1));
    ++number;
    if (const auto at = line.find(kToken); at != std::string_view::npos)
      rules.read(number, Json::parse(line.substr(at + kToken.size()), nullptr, /*allow_exceptions=*/false));
  }
  return rules.finish();
}

}  // namespace halftone
