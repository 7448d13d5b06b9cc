#include <cmath>

#include "halftone/core/error.hpp"
#include "halftone/train/finish.hpp"
#include "train/finish_parameters.hpp"

namespace halftone {

std::vector<std::string> validate(const FinishOptions& options) {
  std::vector<std::string> violations;
  const auto at_least_one = [&](const char* name, std::int64_t value) {
    if (value < 1) violations.push_back(message(name, " is ", value, ": at least 1 is needed"));
  };
  at_least_one("steps", options.steps);
  at_least_one("step_samples", options.step_samples);
  at_least_one("steps_per_check", options.steps_per_check);
  at_least_one("most_held_out", options.most_held_out);
  at_least_one("batch_size", options.batch_size);
  at_least_one("threads", options.threads);
  const auto rate = [&](const char* name, double value) {
    if (!(value > 0 && std::isfinite(value)))
      violations.push_back(message(name, " is ", value, ": a number above 0 is needed"));
  };
  rate("weight_rate", options.weight_rate);
  rate("bound_rate", options.bound_rate);
  if (!(options.held_out > 0 && options.held_out < 1))
    violations.push_back(message("held_out is ", options.held_out, ": a share above 0 and below 1 is needed"));
  if (!(options.label_share >= 0 && options.label_share <= 1))
    violations.push_back(message("label_share is ", options.label_share, ": a share from 0 to 1 is needed"));
  return violations;
}

std::string internal::describe(const FinishOptions& o) {
  return message("steps ", o.steps, " of ", o.step_samples, ", rates ", o.weight_rate, ' ', o.bound_rate, ", ",
                 o.all_sites ? "all sites" : "sites below 16 bits", o.ranges ? ", ranges" : "", ", labels ",
                 o.label_share, ", checks every ", o.steps_per_check, ", held out ", o.held_out, ' ', o.most_held_out,
                 ", batch ", o.batch_size, ", seed ", o.seed, o.optimizer ? ", optimizer given" : ", adam");
}

}  // namespace halftone
