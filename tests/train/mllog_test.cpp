#include "halftone/train/mllog.hpp"

#include <algorithm>
#include <sstream>

#include "catch.hpp"
#include "halftone/train/mllog_rules.hpp"

using namespace halftone;

namespace {

/// A run of two epochs.
std::string sample_log() {
  std::ostringstream out;
  std::int64_t now = 1000;
  MlLog log(out, [&] { return now += 5; });
  log.submission({.benchmark = "resnet", .org = "nobody", .platform = "threads"});
  log.point("cache_clear", true);
  log.init_start();
  log.point("global_batch_size", std::int64_t{128});
  log.init_stop();
  log.run_start();
  for (int epoch = 1; epoch <= 2; ++epoch) {
    log.epoch_start(epoch);
    log.epoch_stop(epoch);
    log.eval_start(epoch);
    log.eval_accuracy(0.25 * epoch, epoch);
    log.eval_stop(epoch);
  }
  log.run_stop(/*reached=*/true);
  return out.str();
}

/// `text` with the first `from` replaced.
std::string with(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// `text` without its lines of `key`.
std::string without(const std::string& text, const std::string& key) {
  std::istringstream in(text);
  std::string line;
  std::string kept;
  while (std::getline(in, line))
    if (line.find('"' + key + '"') == std::string::npos) kept += line + '\n';
  return kept;
}

}  // namespace

TEST_CASE("a line of the log has MLPerf's fields, and where it was written") {
  std::ostringstream out;
  MlLog log(out, [] { return 42; });
  log.eval_accuracy(0.5, 3);
  const std::string line = std::to_string(__LINE__ - 1);
  CHECK(out.str() ==
        R"(:::MLLOG {"namespace":"","time_ms":42,"event_type":"POINT_IN_TIME","key":"eval_accuracy","value":0.5,)"
        R"("metadata":{"file":"mllog_test.cpp","lineno":)" +
            line + ",\"epoch_num\":3}}\n");
}

TEST_CASE("the log of a run keeps the rules, among other output too") {
  CHECK(mllog_violations(sample_log()) == std::vector<std::string>{});
  CHECK(mllog_violations("epoch 1 ...\n" + sample_log() + "done") == std::vector<std::string>{});
}

TEST_CASE("a log that breaks a rule is told which, and where") {
  const std::string good = sample_log();
  const auto violation = [](const std::string& log) {
    const auto all = mllog_violations(log);
    REQUIRE(!all.empty());
    return all.front();
  };
  CHECK(violation(":::MLLOG {\"key\": \n" + good) == "line 1 is no JSON object");
  CHECK(violation(with(good, "\"value\":\"resnet\",", "")) == "line 1 has no value");
  CHECK(violation(with(good, "\"lineno\"", "\"line\"")) == "line 1 has metadata without file and lineno");
  CHECK(violation(with(good, "INTERVAL_START", "POINT_IN_TIME")) ==
        "line 7 is init_start with an event_type other than INTERVAL_START");
  CHECK(violation(with(good, "\"time_ms\":1010", "\"time_ms\":1")) == "line 2 is before the line above");
  CHECK(violation(without(good, "submission_org")) == "submission_org is there 0 times, not once");
  CHECK(violation(without(good, "init_stop")) == "line 9 comes before init_stop");
  CHECK(violation(without(good, "init_start")) == "line 8 comes before init_start");
  CHECK(violation(with(good, "success", "great")) == R"(line 21 needs a status of "success" or "aborted")");
  CHECK(violation(without(good, "run_start")) == "line 10 epoch_start is outside of the run");
  CHECK(violation(without(good, "epoch_start")) == "line 11 is epoch_stop without a start");
  CHECK(violation(without(good, "epoch_stop")) == "line 15 is epoch_start before the last one's stop");
  CHECK(violation(with(good, "\"epoch_num\":1", "\"epoch_num\":2")) ==
        "line 12 is epoch_stop of another epoch_num than its start");
  CHECK(violation(with(good, "\"epoch_num\":1", "\"epoch\":1")) == "line 11 needs an epoch_num");
  CHECK(violation(without(good, "eval_stop")) == "line 17 is eval_start before the last one's stop");
  CHECK(violation(with(good, "\"value\":0.25", "\"value\":null")) == "line 14 has an eval_accuracy that is no number");
  CHECK(violation(without(good, "eval_accuracy")) == "eval_accuracy is missing");
  CHECK(violation(good + good) == "line 22 is before the line above");
}
