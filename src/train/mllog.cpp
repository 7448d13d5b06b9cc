#include "halftone/train/mllog.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>
#include <ostream>

namespace halftone {

namespace {

using Json = nlohmann::ordered_json;

Json to_json(const MlLogValue& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

std::int64_t system_time() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

MlLog::MlLog(std::ostream& out, Clock clock) : out_(out), clock_(clock ? std::move(clock) : system_time) {}

void MlLog::write(const char* event_type, const std::string& key, const MlLogValue& value,
                  const MlLogMetadata& metadata, const Where& where) {
  Json about{{"file", std::filesystem::path(where.file_name()).filename().string()}, {"lineno", where.line()}};
  for (const auto& [name, held] : metadata) about[name] = to_json(held);
  const Json line{{"namespace", ""}, {"time_ms", clock_()},     {"event_type", event_type},
                  {"key", key},      {"value", to_json(value)}, {"metadata", about}};
  out_ << ":::MLLOG " << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

void MlLog::point(const std::string& key, const MlLogValue& value, const MlLogMetadata& metadata, Where where) {
  write("POINT_IN_TIME", key, value, metadata, where);
}

void MlLog::start(const std::string& key, const MlLogMetadata& metadata, Where where) {
  write("INTERVAL_START", key, nullptr, metadata, where);
}

void MlLog::stop(const std::string& key, const MlLogMetadata& metadata, Where where) {
  write("INTERVAL_END", key, nullptr, metadata, where);
}

void MlLog::submission(const MlLogSubmission& fields, Where where) {
  point("submission_benchmark", fields.benchmark, {}, where);
  point("submission_org", fields.org, {}, where);
  point("submission_platform", fields.platform, {}, where);
  point("submission_division", fields.division, {}, where);
  point("submission_status", fields.status, {}, where);
}

void MlLog::init_start(Where where) { start("init_start", {}, where); }
void MlLog::init_stop(Where where) { stop("init_stop", {}, where); }
void MlLog::run_start(Where where) { start("run_start", {}, where); }

void MlLog::run_stop(bool reached, Where where) {
  stop("run_stop", {{"status", std::string(reached ? "success" : "aborted")}}, where);
}

void MlLog::epoch_start(std::int64_t epoch, Where where) { start("epoch_start", {{"epoch_num", epoch}}, where); }
void MlLog::epoch_stop(std::int64_t epoch, Where where) { stop("epoch_stop", {{"epoch_num", epoch}}, where); }
void MlLog::eval_start(std::int64_t epoch, Where where) { start("eval_start", {{"epoch_num", epoch}}, where); }
void MlLog::eval_stop(std::int64_t epoch, Where where) { stop("eval_stop", {{"epoch_num", epoch}}, where); }

void MlLog::eval_accuracy(double value, std::int64_t epoch, Where where) {
  point("eval_accuracy", value, {{"epoch_num", epoch}}, where);
}

}  // namespace halftone
