#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <source_location>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace halftone {

/// As JSON; numbers that are not finite become null.
using MlLogValue = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string>;
using MlLogMetadata = std::vector<std::pair<std::string, MlLogValue>>;

/// What a log says first of who ran what.
struct MlLogSubmission {
  std::string benchmark;  ///< "resnet", "ssd", ...
  std::string org;
  std::string platform;
  std::string division = "open";    ///< or "closed"
  std::string status = "research";  ///< or "cloud", "onprem", "preview"
};

/// Writes a training run as MLPerf's logs do, a line an event, flushed:
///
///     :::MLLOG {"namespace": "", "time_ms": 1, "event_type": "POINT_IN_TIME", "key": "eval_accuracy", "value": 0.7,
///               "metadata": {"file": "train.cpp", "lineno": 9, "epoch_num": 4}}
///
/// on one line. File and line are those of the call. One rank of a job writes; `mllog_violations` checks what it wrote.
class MlLog {
 public:
  using Where = std::source_location;
  using Clock = std::function<std::int64_t()>;  ///< milliseconds since 1970

  /// `out` is borrowed. An empty `clock` is the system's.
  explicit MlLog(std::ostream& out, Clock clock = {});

  void point(const std::string& key, const MlLogValue& value, const MlLogMetadata& metadata = {},
             Where where = Where::current());
  void start(const std::string& key, const MlLogMetadata& metadata = {}, Where where = Where::current());
  void stop(const std::string& key, const MlLogMetadata& metadata = {}, Where where = Where::current());

  void submission(const MlLogSubmission& fields, Where where = Where::current());
  void init_start(Where where = Where::current());
  void init_stop(Where where = Where::current());
  void run_start(Where where = Where::current());
  /// Status "success" where the target was reached, otherwise "aborted".
  void run_stop(bool reached, Where where = Where::current());
  void epoch_start(std::int64_t epoch, Where where = Where::current());
  void epoch_stop(std::int64_t epoch, Where where = Where::current());
  void eval_start(std::int64_t epoch, Where where = Where::current());
  void eval_stop(std::int64_t epoch, Where where = Where::current());
  void eval_accuracy(double value, std::int64_t epoch, Where where = Where::current());

 private:
  void write(const char* event_type, const std::string& key, const MlLogValue& value, const MlLogMetadata& metadata,
             const Where& where);

  std::ostream& out_;
  Clock clock_;
};

}  // namespace halftone
