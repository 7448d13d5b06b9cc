#include "halftone/testing/check_metric.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "testing/violations.hpp"

namespace halftone::testing {

namespace {

using internal::Violations;

SensitivityTable without_time(SensitivityTable table) {
  table.seconds = 0;
  return table;
}

/// Every figure to the last bit.
std::string bytes(const SensitivityTable& table) { return nlohmann::json(without_time(table)).dump(); }

/// Everything that a metric may look at and must leave alone.
struct Fingerprint {
  explicit Fingerprint(const SensitivityInput& input)
      : model(digest(input.model)), calibration(input.calibration), data(input.data.digest()) {
    for (const at::Tensor& tensor : input.model.tensors)
      gradients.push_back(!tensor.defined()                                     ? "none"
                          : tensor.is_leaf() && tensor.mutable_grad().defined() ? "gradient"
                          : tensor.requires_grad()                              ? "wanted"
                                                                                : "none");
  }
  std::string model;
  Calibration calibration;
  std::string data;
  std::vector<std::string> gradients;
  bool records = at::GradMode::is_enabled();
};

void compare(const Fingerprint& before, const SensitivityInput& input, Violations& violations) {
  const Fingerprint after(input);
  if (after.model != before.model) violations.add("it changes the model's tensors or graph");
  if (after.gradients != before.gradients)
    violations.add("it leaves gradients, or the wish for them, on the model's tensors: work on copies");
  if (!(after.calibration == before.calibration)) violations.add("it changes the calibration");
  if (after.data != before.data) violations.add("it changes the data");
  if (after.records != before.records) violations.add("it leaves gradients switched on or off: use a guard");
}

void check_table(const SensitivityTable& table, const SensitivityInput& input, Violations& violations) {
  const auto name = [&](std::size_t site) { return '"' + input.model.sites[site].name + '"'; };
  for (const ClampedScore& clamped : table.clamped)
    if (!std::isfinite(clamped.given))
      violations.add("its score of site ", name(clamped.site), " at precision ", clamped.precision, " is ",
                     clamped.given);
  for (const auto& [what, passes] :
       {std::pair("forward", table.forward_passes), std::pair("backward", table.backward_passes)})
    if (!(passes >= 0) || !std::isfinite(passes)) violations.add("it counts ", passes, ' ', what, " passes");
  if (!table.standard_errors.empty() && table.standard_errors.size() != table.scores.size())
    return violations.add("it gives standard errors of ", table.standard_errors.size(), " sites of ",
                          table.scores.size());
  for (std::size_t site = 0; site < table.standard_errors.size(); ++site)
    for (const Precision precision : input.precisions) {
      const auto found = table.standard_errors[site].find(precision);
      if (found == table.standard_errors[site].end() || !(found->second >= 0) || !std::isfinite(found->second))
        violations.add("its standard error of site ", name(site), " at precision ", precision, " is ",
                       found == table.standard_errors[site].end() ? "missing" : std::to_string(found->second));
    }
}

void check_pairs(const SensitivityTable& table, const SensitivityInput& input, Violations& violations) {
  if (!table.pairs) return;
  const PairMatrix& pairs = *table.pairs;
  for (const Precision precision : input.precisions)
    if (std::find(pairs.precisions().begin(), pairs.precisions().end(), precision) == pairs.precisions().end())
      return violations.add("its pairs lack precision ", precision);
  for (std::size_t i = 0; i < pairs.rows(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (pairs.values()[i * pairs.rows() + j] != pairs.values()[j * pairs.rows() + i])
        return violations.add("its pair matrix is not symmetric: entries ", i, ", ", j);
}

/// Sites of the model in another order, with their ranges.
struct Reordered {
  explicit Reordered(const SensitivityInput& input) : model(input.model), from(input.model.sites.size()) {
    std::iota(from.begin(), from.end(), std::size_t{0});
    // Last to first, and every other one further on: few neighbours stay neighbours.
    std::stable_partition(from.begin(), from.end(), [](std::size_t site) { return site % 2 == 1; });
    std::reverse(from.begin(), from.end());
    for (std::size_t i = 0; i < from.size(); ++i) {
      model.sites[i] = input.model.sites[from[i]];
      calibration.sites.push_back(input.calibration.sites[from[i]]);
    }
  }
  Model model;
  Calibration calibration;
  std::vector<std::size_t> from;  ///< by new position: the site's position in the input
};

/// 0 for metrics that do not sample, or do not tell.
double standard_error(const SensitivityTable& table, std::size_t site, Precision precision) {
  if (site >= table.standard_errors.size()) return 0;
  const auto found = table.standard_errors[site].find(precision);
  return found == table.standard_errors[site].end() ? 0 : found->second;
}

/// Scores of `other`, whose site i is site from[i] of `table`, must agree, but for what sampling explains.
void compare_scores(const SensitivityTable& table, const SensitivityTable& other, const std::vector<std::size_t>& from,
                    const SensitivityInput& input, double tolerance, const std::string& changed,
                    Violations& violations) {
  for (const Precision precision : input.precisions) {
    double largest = 0;
    for (const auto& scores : table.scores) largest = std::max(largest, std::abs(scores.at(precision)));
    for (std::size_t i = 0; i < from.size(); ++i) {
      const double was = table.scores[from[i]].at(precision);
      const double is = other.scores[i].at(precision);
      constexpr double kErrors = 4;  // that chance alone exceeds once in 16,000
      const double by_chance =
          kErrors * std::hypot(standard_error(table, from[i], precision), standard_error(other, i, precision));
      if (std::abs(is - was) <= tolerance * largest + by_chance) continue;
      return violations.add("its scores depend on ", changed, ": site \"", input.model.sites[from[i]].name,
                            "\" at precision ", precision, " is scored ", was, " and then ", is);
    }
  }
}

SensitivityInput quiet(const SensitivityInput& input) {
  SensitivityInput other = input;
  other.monitor = {};
  other.journal = nullptr;
  return other;
}

/// Runs with a monitor that asks to stop from question `limit` on; whether `Stopped` was thrown.
bool stops(const SensitivityMetric& metric, const SensitivityInput& input, int limit, int* asked = nullptr) {
  int count = 0;
  SensitivityInput stopping = quiet(input);
  stopping.threads = 1;  // the questions are then the same every time
  stopping.monitor.should_stop = [&] { return count++ >= limit; };
  bool stopped = false;
  try {
    (void)metric.measure(stopping);
  } catch (const Stopped&) {
    stopped = true;
  }
  if (asked != nullptr) *asked = count;
  return stopped;
}

void check_stop(const SensitivityMetric& metric, const SensitivityInput& input, const SensitivityTable& table,
                Violations& violations) {
  constexpr int kNever = 1 << 30;
  int questions = 0;
  if (stops(metric, input, kNever, &questions)) violations.add("it throws Stopped where nobody asked it to stop");
  if (!stops(metric, input, 0)) violations.add("it does not throw Stopped where it is to stop before it starts");
  if (table.forward_passes + table.backward_passes > 0 && questions < 2)
    violations.add("it runs passes over the data and never asks whether to stop: Monitor::stopped");
  if (questions >= 2 && !stops(metric, input, (questions - 1) / 2))
    violations.add("it goes on where it is asked to stop half way: throw Stopped");
}

}  // namespace

std::vector<std::string> check_metric(const SensitivityMetric& metric, const SensitivityInput& input,
                                      const CheckMetricOptions& options) {
  Violations violations("metric " + metric.name());
  if (metric.name().empty()) violations.add("it has no name");
  const Fingerprint before(input);
  const auto measure = [&](const SensitivityInput& other) { return metric.measure(quiet(other)); };

  SensitivityInput one = input;
  one.threads = 1;
  std::optional<SensitivityTable> table;
  if (!violations.guard("measuring", [&] { table = measure(one); })) {
    compare(before, input, violations);
    return violations.list();
  }
  check_table(*table, input, violations);
  check_pairs(*table, input, violations);
  violations.guard("measuring again", [&] {
    if (bytes(measure(one)) != bytes(*table)) violations.add("it is not deterministic: a second table differs");
  });
  violations.guard("measuring with three threads", [&] {
    SensitivityInput three = input;
    three.threads = 3;
    if (bytes(measure(three)) != bytes(*table)) violations.add("its table depends on the number of threads");
  });
  violations.guard("measuring with sites in another order", [&] {
    const Reordered other(input);
    const SensitivityTable reordered = measure({.model = other.model,
                                                .calibration = other.calibration,
                                                .data = input.data,
                                                .task = input.task,
                                                .precisions = input.precisions,
                                                .seed = input.seed,
                                                .batch_size = input.batch_size,
                                                .threads = 1,
                                                .most_bytes = input.most_bytes});
    compare_scores(*table, reordered, other.from, input, options.site_order, "the order of the sites", violations);
  });
  violations.guard("measuring with another batch size", [&] {
    SensitivityInput batches = one;
    const std::int64_t half = std::min(input.batch_size, input.data.size()) / 2;
    batches.batch_size = half > 0 ? half : input.batch_size + 1;
    std::vector<std::size_t> same(input.model.sites.size());
    std::iota(same.begin(), same.end(), std::size_t{0});
    compare_scores(*table, measure(batches), same, input, options.batch_size,
                   message("the batch size (", input.batch_size, ", ", batches.batch_size, ')'), violations);
  });
  violations.guard("stopping", [&] { check_stop(metric, input, *table, violations); });
  compare(before, input, violations);
  return violations.list();
}

}  // namespace halftone::testing
