#include "halftone/report/run_result.hpp"

#include "halftone/core/error.hpp"
#include "report/text.hpp"

namespace halftone {

const char* to_string(RunStatus status) {
  switch (status) {
    case RunStatus::Met:
      return "met";
    case RunStatus::Missed:
      return "missed";
    case RunStatus::Stopped:
      return "stopped";
  }
  return "unknown";
}

std::string to_string(const LatencyTarget& target, const std::string& unit) {
  return target.change != 0 ? internal::change(1, 1 + target.change) : internal::with_unit(target.limit, unit);
}

std::string plan_file_name(const Gate& gate) {
  constexpr int kDigits = 10;
  if (gate.kind == GateKind::Damage)
    return message("plan-damage-", internal::significant(gate.budget, kDigits), ".json");
  return message("plan-", gate.kind == GateKind::Confidence ? "confidence-" : "keep-",
                 internal::significant(100 * gate.keep, kDigits), ".json");
}

std::vector<TargetResult> all_targets(const RunResult& run) {
  std::vector<TargetResult> targets = run.looser;
  TargetResult& strictest = targets.emplace_back();
  strictest.gate = run.gate;
  strictest.status = run.status;
  strictest.plan = run.plan;
  strictest.figures = run.result;
  if (run.measured) strictest.measured = run.measured->plan;
  strictest.decisions = run.decisions;
  strictest.unsearched = run.unsearched;
  return targets;
}

}  // namespace halftone
