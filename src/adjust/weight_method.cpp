#include "halftone/adjust/weight_method.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <random>

#include "adjust/clean_batches.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone {

namespace {

using internal::CleanBatches;
using internal::Workplace;

/// The highest precision of each integer weight width, the widest first.
std::map<int, Precision, std::greater<>> precision_by_width(std::span<const Precision> precisions) {
  std::map<int, Precision, std::greater<>> highest;
  for (const Precision precision : precisions) {
    if (precision.weight_bits == 16) continue;
    const auto [entry, is_new] = highest.try_emplace(precision.weight_bits, precision);
    if (!is_new) entry->second = std::max(entry->second, precision);
  }
  return highest;
}

std::vector<std::int64_t> draw(const Dataset& data, const WeightMethodOptions& options) {
  std::mt19937_64 random(options.seed);
  auto samples = internal::shuffled(data.size(), random);
  if (options.samples < std::ssize(samples)) samples.resize(static_cast<std::size_t>(options.samples));
  std::sort(samples.begin(), samples.end());
  return samples;
}

}  // namespace

std::vector<std::string> validate(const WeightMethodOptions& options) {
  std::vector<std::string> violations;
  if (options.methods.empty()) violations.push_back(message("methods is empty: at least one is needed"));
  for (const RangeMethod method : options.methods)
    if (method == RangeMethod::Automatic)
      violations.push_back(message("methods holds auto, which is a choice among the others: leave it out"));
  if (!(options.margin >= 0 && options.margin < 1))
    violations.push_back(message("margin is ", options.margin, ": a share of at least 0 and below 1 is needed"));
  if (options.samples < 1) violations.push_back(message("samples is ", options.samples, ": at least 1 is needed"));
  if (options.batch_size < 1)
    violations.push_back(message("batch_size is ", options.batch_size, ": at least 1 is needed"));
  if (options.threads < 1) violations.push_back(message("threads is ", options.threads, ": at least 1 is needed"));
  return violations;
}

std::optional<ChosenWeights> choose_weight_method(const Model& model, const Calibration& calibration,
                                                  const Dataset& data, const Task& task,
                                                  std::span<const Precision> precisions,
                                                  const WeightMethodOptions& options, const Monitor& monitor) {
  require_valid("weight method options", validate(options));
  if (data.size() == 0)
    throw Error(Errc::InvalidArgument,
                message("choosing the ranges of weights: ", data.name(), " holds no samples to measure damage on"));
  ChosenWeights result{.calibration = calibration, .choices = {}};
  const auto widths = precision_by_width(precisions);
  if (widths.empty()) return result;

  std::vector<Calibration> candidates;
  for (const RangeMethod method : options.methods) {
    candidates.push_back(with_weight_ranges(model, calibration, {.method = method}, options.threads, monitor));
    if (candidates.back().sites.empty()) return std::nullopt;
  }

  const std::int64_t runs = 1 + std::ssize(widths) * std::ssize(candidates);
  std::int64_t done = 0;
  const Interpreter interpreter(model);
  const Monitor inner{.on_progress = {}, .should_stop = [&] {
                        monitor.report({.stage = "ranges", .done = done, .total = runs, .detail = "of weights"});
                        return monitor.stopped();
                      }};
  const Workplace place{model, interpreter, task, options.threads, inner, options.team};
  CleanBatches batches(data, draw(data, options), options.batch_size);
  if (!batches.record(place)) return std::nullopt;
  ++done;
  for (const auto& [bits, precision] : widths) {
    WeightMethodChoice choice{.bits = bits, .precision = precision, .trials = {}, .samples = batches.samples()};
    const Plan plan = Plan::uniform(model.sites.size(), precision);
    std::size_t best = 0;
    for (std::size_t k = 0; k < candidates.size(); ++k) {
      const auto damage = internal::damage(place, batches, candidates[k], plan);
      if (!damage) return std::nullopt;
      ++done;
      choice.trials.push_back({options.methods[k], *damage});
      if (*damage < (1 - options.margin) * choice.trials[best].damage) best = k;
    }
    choice.chosen = options.methods[best];
    for (std::size_t i = 0; i < model.sites.size(); ++i)
      if (model.sites[i].has_weight())
        result.calibration.sites[i].weight.at(bits) = candidates[best].sites[i].weight.at(bits);
    result.choices.push_back(std::move(choice));
  }
  result.forward_passes =
      static_cast<double>(runs) * static_cast<double>(batches.samples()) / static_cast<double>(data.size());
  return result;
}

std::optional<ChosenWeights> calibrate_and_choose(const Model& model, const Dataset& data, const Task& task,
                                                  std::span<const Precision> precisions, CalibrateOptions options,
                                                  std::uint64_t seed, const Monitor& monitor) {
  const bool chooses = options.weight.method == RangeMethod::Automatic;
  if (chooses) options.weight = {.method = RangeMethod::Max};
  ChosenWeights result{.calibration = calibrate(model, data, precisions, options, monitor), .choices = {}};
  if (result.calibration.sites.empty()) return std::nullopt;
  result.forward_passes = 1;
  if (!chooses) return result;
  auto chosen = choose_weight_method(
      model, result.calibration, data, task, precisions,
      {.batch_size = options.batch_size, .threads = options.threads, .seed = seed, .team = options.team}, monitor);
  if (chosen) ++chosen->forward_passes;
  return chosen;
}

}  // namespace halftone
