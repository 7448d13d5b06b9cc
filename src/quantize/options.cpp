#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/quantize.hpp"

namespace halftone {

namespace {

constexpr std::pair<RangeAdjusting, const char*> kRangeAdjusting[] = {{RangeAdjusting::None, "none"},
                                                                      {RangeAdjusting::Search, "search"},
                                                                      {RangeAdjusting::Final, "final"},
                                                                      {RangeAdjusting::Both, "both"}};

}  // namespace

const char* to_string(RangeAdjusting adjusting) {
  for (const auto& [known, name] : kRangeAdjusting)
    if (known == adjusting) return name;
  return "unknown";
}

RangeAdjusting parse_range_adjusting(const std::string& text) {
  for (const auto& [adjusting, name] : kRangeAdjusting)
    if (text == name) return adjusting;
  throw Error(Errc::InvalidArgument,
              message("when to adjust ranges is \"", text, "\": none, search, final or both is needed"));
}

std::vector<std::string> validate(const QuantizeOptions& options) {
  std::vector<std::string> violations;
  if (!(options.keep > 0 && options.keep <= 1))
    violations.push_back(message("keep is ", options.keep, ": a share in (0, 1] is needed, e.g. 0.999"));
  for (std::size_t i = 0; i < options.gates.size(); ++i) {
    const std::string name = message("gates[", i, ']');
    for (const auto& violation : validate(options.gates[i], name)) violations.push_back(violation);
  }
  for (const Gate& gate : options.gates)
    if (gate.kind != options.gates.front().kind)
      violations.push_back(message("gates are of two kinds, ", to_string(options.gates.front().kind), " and ",
                                   to_string(gate.kind), ": one kind is needed, or none is the strictest"));
  if (options.gates.size() > 1 &&
      (options.adjust_ranges == RangeAdjusting::Final || options.adjust_ranges == RangeAdjusting::Both))
    violations.emplace_back(
        "adjust_ranges is for the plan found, and there are several gates: one set of ranges serves one plan, so give "
        "one gate, or adjust before the search");
  if (const auto& target = options.latency_target) {
    if ((target->limit > 0) == (target->change != 0))
      violations.push_back(message("latency_target has limit ", target->limit, " and change ", target->change,
                                   ": one of them is needed, a limit above 0 or a change"));
    if (!(target->change > -1 && target->change <= 0))
      violations.push_back(message("latency_target.change is ", target->change,
                                   ": a share below 0 and above -1 is needed, e.g. -0.3 for 30 % less"));
  }
  if (!options.gates.empty() && options.latency_target)
    violations.emplace_back("gates and latency_target are both given: one of them says when a plan is good enough");
  for (const auto& violation : validate(options.limits)) violations.push_back("limits: " + violation);
  if (options.batch_size < 1) violations.push_back(message("batch_size is ", options.batch_size, ": at least 1"));
  if (options.threads < 0) violations.push_back(message("threads is ", options.threads, ": 0 (one per core) or more"));
  if (options.sense_samples < 1)
    violations.push_back(message("sense_samples is ", options.sense_samples, ": at least 1"));
  if (options.compare_samples < 0)
    violations.push_back(message("compare_samples is ", options.compare_samples, ": 0 (none) or more"));
  if (options.latency_batch < 1)
    violations.push_back(message("latency_batch is ", options.latency_batch, ": at least 1"));
  if (options.latency_threads < 1)
    violations.push_back(message("latency_threads is ", options.latency_threads, ": at least 1"));
  for (const auto& violation : validate(options.input_range)) violations.push_back("input_range: " + violation);
  for (const auto& violation : validate(options.weight_range)) violations.push_back("weight_range: " + violation);
  for (const auto& violation : validate(options.adjust)) violations.push_back("adjust: " + violation);
  if (options.input_range.method == RangeMethod::Automatic)
    violations.push_back(message("input_range: auto is for weights: use max, percentile or mse"));
  return violations;
}

}  // namespace halftone
