#include "halftone/adjust/adjust_ranges.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "adjust/clean_batches.hpp"
#include "adjust/damage_gradient.hpp"
#include "adjust/guard.hpp"
#include "adjust/range_errors.hpp"
#include "adjust/range_parameters.hpp"
#include "core/openmp_threads.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone {

namespace {

using internal::CleanBatches;
using internal::DamageGradient;
using internal::RangeParameters;
using internal::Workplace;

/// No bound leaves its start by more than this factor, so that whatever the learning rate nothing overflows.
constexpr double kLargestFactor = 16;

/// Adam on the logarithms of bounds. Source: Kingma and Ba, *Adam*, 2015, with their constants; the learning rate falls
/// along half a cosine.
class LogAdam {
 public:
  LogAdam(const std::vector<double>& bounds, const AdjustOptions& options)
      : options_(options), start_(bounds.size()), mean_(bounds.size()), square_(bounds.size()) {
    // The logarithm of 0 is -infinity, which no step moves.
    std::transform(bounds.begin(), bounds.end(), start_.begin(), [](double bound) { return std::log(bound); });
    logs_ = start_;
  }

  /// `gradient` in the bounds themselves.
  void step(const std::vector<double>& gradient) {
    const double progress = static_cast<double>(steps_++) / options_.steps;
    const double rate = options_.learning_rate * (1 + std::cos(progress * 3.14159265358979323846)) / 2;
    const double correct_mean = 1 - std::pow(kMean, steps_);
    const double correct_square = 1 - std::pow(kSquare, steps_);
    const double most = std::log(kLargestFactor);
    for (std::size_t i = 0; i < logs_.size(); ++i) {
      const double slope = gradient[i] * std::exp(logs_[i]);
      mean_[i] = kMean * mean_[i] + (1 - kMean) * slope;
      square_[i] = kSquare * square_[i] + (1 - kSquare) * slope * slope;
      const double change = mean_[i] / correct_mean / (std::sqrt(square_[i] / correct_square) + kTiny);
      logs_[i] = std::clamp(logs_[i] - rate * change, start_[i] - most, start_[i] + most);
    }
  }

  [[nodiscard]] std::vector<double> bounds() const {
    std::vector<double> bounds(logs_.size());
    std::transform(logs_.begin(), logs_.end(), bounds.begin(), [](double log) { return std::exp(log); });
    return bounds;
  }

 private:
  static constexpr double kMean = 0.9;
  static constexpr double kSquare = 0.999;
  static constexpr double kTiny = 1e-12;

  const AdjustOptions& options_;
  std::vector<double> start_;
  std::vector<double> logs_;
  std::vector<double> mean_;
  std::vector<double> square_;
  int steps_ = 0;
};

/// One call of `adjust_ranges`.
class Adjusting {
 public:
  Adjusting(const Model& model, const Calibration& calibration, const Dataset& data, const Task& task, const Plan& plan,
            const AdjustOptions& options, const Monitor& monitor)
      : calibration_(calibration),
        data_(data),
        plan_(plan),
        options_(options),
        interpreter_(model),
        place_{model,
               interpreter_,
               task,
               options.threads,
               {.on_progress = {}, .should_stop = [this, &monitor] { return consult(monitor); }},
               options.team},
        parameters_(model, calibration, plan, options.inputs, options.weights) {}

  AdjustedRanges run() {
    AdjustedRanges result{.calibration = calibration_, .record = {}};
    record_.bounds = parameters_.start().size();
    if (record_.bounds > 0) {
      record_.stopped = !descend();
      if (record_.step_kept > 0) {
        result.calibration = parameters_.apply(calibration_, best_);
        const bool known =
            internal::measure_errors(place_, data_, parameters_, options_.batch_size, result.calibration);
        record_.stopped = record_.stopped || !known;
        if (!parameters_.inputs().empty()) ++record_.forward_passes;
      }
    }
    result.record = record_;
    return result;
  }

 private:
  bool consult(const Monitor& monitor) const {
    monitor.report({.stage = "adjust", .done = record_.steps, .total = options_.steps, .detail = detail_});
    return monitor.stopped();
  }

  /// False when stopped.
  bool descend() {
    const internal::SampleParts parts =
        internal::split_samples(data_, options_.held_out, data_.size(), options_.seed, "adjusting ranges");
    CleanBatches training(data_, parts.training, options_.batch_size);
    CleanBatches held_out(data_, parts.held_out, options_.batch_size);
    record_.held_out = held_out.samples();
    record_.trained_on = training.samples();
    if (!training.record(place_) || !held_out.record(place_)) return false;
    ++record_.forward_passes;
    internal::Guard guard(place_, held_out, plan_, data_.size(), record_);
    if (!guard.start(parameters_.apply(calibration_, parameters_.start()))) return false;
    detail_ = guard.describe();

    const DamageGradient gradient(place_, calibration_, plan_, parameters_);
    LogAdam adam(parameters_.start(), options_);
    internal::BatchOrder order(training.size(), options_.seed);
    const auto per_step =
        static_cast<std::size_t>(std::max<std::int64_t>(1, options_.step_samples / options_.batch_size));
    while (record_.steps < options_.steps) {
      const auto chosen = order.next(per_step);
      const auto slope = gradient.at(adam.bounds(), training, chosen);
      if (!slope) return false;
      count(training, chosen);
      guard.add_step(slope->damage);
      adam.step(slope->gradient);
      ++record_.steps;
      if (record_.steps % options_.steps_per_check != 0 && record_.steps < options_.steps) continue;
      const auto bounds = adam.bounds();
      const auto is_best = guard.check(parameters_.apply(calibration_, bounds));
      if (!is_best) return false;
      if (*is_best) best_ = bounds;
      detail_ = guard.describe();
    }
    return true;
  }

  void count(const CleanBatches& batches, const std::vector<std::size_t>& chosen) {
    double samples = 0;
    for (const std::size_t batch : chosen) samples += static_cast<double>(batches.samples_in(batch));
    record_.forward_passes += samples / static_cast<double>(data_.size());
    record_.backward_passes += samples / static_cast<double>(data_.size());
  }

  const Calibration& calibration_;
  const Dataset& data_;
  const Plan& plan_;
  const AdjustOptions& options_;
  Interpreter interpreter_;
  Workplace place_;
  RangeParameters parameters_;
  RangeAdjustment record_;
  std::vector<double> best_;
  std::string detail_ = "clean outputs";
};

}  // namespace

std::vector<std::string> validate(const AdjustOptions& options) {
  std::vector<std::string> violations;
  const auto at_least_one = [&](const char* name, std::int64_t value) {
    if (value < 1) violations.push_back(message(name, " is ", value, ": at least 1 is needed"));
  };
  at_least_one("steps", options.steps);
  at_least_one("step_samples", options.step_samples);
  at_least_one("steps_per_check", options.steps_per_check);
  at_least_one("batch_size", options.batch_size);
  at_least_one("threads", options.threads);
  if (!(options.learning_rate > 0 && std::isfinite(options.learning_rate)))
    violations.push_back(message("learning_rate is ", options.learning_rate, ": a number above 0 is needed"));
  if (!(options.held_out > 0 && options.held_out < 1))
    violations.push_back(message("held_out is ", options.held_out, ": a share above 0 and below 1 is needed"));
  return violations;
}

AdjustedRanges adjust_ranges(const Model& model, const Calibration& calibration, const Dataset& data, const Task& task,
                             const Plan& plan, const AdjustOptions& options, const Monitor& monitor) {
  require_valid("adjust options", validate(options));
  require_ranges(model, calibration, plan);
  const auto start = std::chrono::steady_clock::now();
  // What runs between batches too: sums in LibTorch depend on the number of threads.
  const internal::OpenMpThreads one_thread(1);
  AdjustedRanges result = Adjusting(model, calibration, data, task, plan, options, monitor).run();
  result.record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace halftone
