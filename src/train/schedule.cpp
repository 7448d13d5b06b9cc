#include "halftone/train/schedule.hpp"

#include <algorithm>
#include <cmath>

#include "halftone/core/options.hpp"

namespace halftone {

namespace {

void require_step(std::int64_t step) {
  if (step < 1) throw Error(Errc::InvalidArgument, message("schedule: step ", step, " is not one: steps count from 1"));
}

void check_rate(const char* name, double rate, std::vector<std::string>& violations) {
  if (!(rate >= 0) || !std::isfinite(rate)) violations.push_back(message(name, " is ", rate, ": at least 0 is needed"));
}

void check_warm_up(std::int64_t steps, std::int64_t least, std::vector<std::string>& violations) {
  if (steps < least) violations.push_back(message("warm_up_steps is ", steps, ": at least ", least, " is needed"));
}

double share(std::int64_t part, std::int64_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

}  // namespace

std::vector<std::string> validate(const PolynomialSchedule& schedule) {
  std::vector<std::string> violations;
  check_rate("base", schedule.base, violations);
  check_rate("end", schedule.end, violations);
  check_rate("power", schedule.power, violations);
  check_warm_up(schedule.warm_up_steps, 0, violations);
  if (schedule.steps <= schedule.warm_up_steps)
    violations.push_back(
        message("steps is ", schedule.steps, ": more than warm_up_steps, ", schedule.warm_up_steps, ", are needed"));
  return violations;
}

double rate_at(const PolynomialSchedule& schedule, std::int64_t step) {
  require_valid("polynomial schedule", validate(schedule));
  require_step(step);
  if (step <= schedule.warm_up_steps) return schedule.base * share(step, schedule.warm_up_steps);
  if (step >= schedule.steps) return schedule.end;
  const double left = 1 - share(step - schedule.warm_up_steps, schedule.steps - schedule.warm_up_steps);
  return schedule.end + (schedule.base - schedule.end) * std::pow(left, schedule.power);
}

std::vector<std::string> validate(const InverseRootSchedule& schedule) {
  std::vector<std::string> violations;
  check_rate("constant", schedule.constant, violations);
  if (schedule.hidden_size < 1)
    violations.push_back(message("hidden_size is ", schedule.hidden_size, ": at least 1 is needed"));
  check_warm_up(schedule.warm_up_steps, 1, violations);
  return violations;
}

double rate_at(const InverseRootSchedule& schedule, std::int64_t step) {
  require_valid("inverse root schedule", validate(schedule));
  require_step(step);
  const double warm_up = std::min(1.0, share(step, schedule.warm_up_steps));
  const double decay = std::sqrt(static_cast<double>(std::max(step, schedule.warm_up_steps)));
  return schedule.constant * warm_up / (decay * std::sqrt(static_cast<double>(schedule.hidden_size)));
}

std::vector<std::string> validate(const StepSchedule& schedule) {
  std::vector<std::string> violations;
  check_rate("base", schedule.base, violations);
  check_rate("factor", schedule.factor, violations);
  for (std::size_t i = 0; i < schedule.boundaries.size(); ++i)
    if (schedule.boundaries[i] <= (i == 0 ? 0 : schedule.boundaries[i - 1]))
      violations.push_back(
          message("boundaries[", i, "] is ", schedule.boundaries[i], ": steps that rise from 1 on are needed"));
  check_warm_up(schedule.warm_up_steps, 0, violations);
  return violations;
}

double rate_at(const StepSchedule& schedule, std::int64_t step) {
  require_valid("step schedule", validate(schedule));
  require_step(step);
  const auto& boundaries = schedule.boundaries;
  const auto passed = std::lower_bound(boundaries.begin(), boundaries.end(), step) - boundaries.begin();
  const double warm_up = step < schedule.warm_up_steps ? share(step, schedule.warm_up_steps) : 1;
  return schedule.base * warm_up * std::pow(schedule.factor, static_cast<double>(passed));
}

}  // namespace halftone
