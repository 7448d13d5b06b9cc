#include "halftone/testing/check_metric.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "testing/compare_tables.hpp"
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
}

void check_pairs(const SensitivityTable& table, const SensitivityInput& input, Violations& violations) {
  if (!table.pairs) return;
  const PairMatrix& pairs = *table.pairs;
  for (std::size_t i = 0; i < pairs.rows(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (pairs.values()[i * pairs.rows() + j] != pairs.values()[j * pairs.rows() + i])
        return violations.add("its pair matrix is not symmetric: entries ", i, ", ", j);
  constexpr double kRounding = 1e-9;
  for (std::size_t site = 0; site < table.scores.size(); ++site)
    for (const Precision p : input.precisions) {
      const double score = table.scores[site].at(p);
      const double predicted = std::max(0.0, internal::half_pair(pairs, site, p, site, p));  // less than 0 is clamped
      if (std::abs(score - predicted) > kRounding * internal::largest_pair(pairs))
        return violations.add("its scores are not half the diagonal of its pair matrix times its scale: site \"",
                              input.model.sites[site].name, "\" at precision ", p, " is scored ", score, ", not ",
                              predicted);
    }
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

SensitivityInput quiet(const SensitivityInput& input) {
  SensitivityInput other = input;
  other.monitor = {};
  other.journal = nullptr;
  other.digest.clear();
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
    internal::compare_tables(*table, reordered, {other.from, options.site_order, "the order of the sites"}, input,
                             violations);
  });
  violations.guard("measuring with another batch size", [&] {
    SensitivityInput batches = one;
    const std::int64_t half = std::min(input.batch_size, input.data.size()) / 2;
    batches.batch_size = half > 0 ? half : input.batch_size + 1;
    std::vector<std::size_t> same(input.model.sites.size());
    std::iota(same.begin(), same.end(), std::size_t{0});
    const std::string changed = message("the batch size (", input.batch_size, ", ", batches.batch_size, ')');
    internal::compare_tables(*table, measure(batches), {same, options.batch_size, changed}, input, violations);
  });
  violations.guard("stopping", [&] { check_stop(metric, input, *table, violations); });
  compare(before, input, violations);
  return violations.list();
}

}  // namespace halftone::testing
