#include "halftone/train/finish.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/optim/adam.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "adjust/damage_gradient.hpp"
#include "adjust/guard.hpp"
#include "adjust/range_errors.hpp"
#include "core/byte_reader.hpp"
#include "core/openmp_threads.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/distributed/team.hpp"
#include "train/finish_parameters.hpp"

namespace halftone {

namespace {

using internal::CleanBatches;
using internal::DamageGradient;
using internal::FinishParameters;
using internal::RangeParameters;
using internal::Workplace;

/// Leaves with rates of their own: weights, then bounds; one that is empty is left out.
struct Rates {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  std::vector<double> largest;

  void add(const std::vector<at::Tensor>& parameters, double rate) {
    if (parameters.empty() || parameters.front().numel() == 0) return;
    groups.emplace_back(parameters);
    largest.push_back(rate);
  }
};

std::unique_ptr<torch::optim::Optimizer> make_adam(std::vector<torch::optim::OptimizerParamGroup> groups) {
  return std::make_unique<torch::optim::Adam>(std::move(groups), torch::optim::AdamOptions());
}

void require_labels(const FinishContext& context, const std::vector<at::Tensor>& outputs) {
  const at::Tensor targets = context.training.targets();
  const at::Tensor& logits = outputs.front();
  const bool are_classes = targets.defined() && targets.dim() == 1 && logits.dim() == 2 &&
                           at::isIntegralType(targets.scalar_type(), /*includeBool=*/false) &&
                           targets.min().item<std::int64_t>() >= 0 &&
                           targets.max().item<std::int64_t>() < logits.size(1);
  if (!are_classes)
    throw Error(Errc::InvalidArgument,
                message("finishing: label_share needs a class for every sample of ", context.training.name(),
                        ", below the number of logits: take 0, which needs no labels"));
}

/// One call of `finish`.
class Finishing {
 public:
  Finishing(const FinishContext& context, const FinishOptions& options)
      : context_(context),
        options_(options),
        network_(context.model),
        clean_interpreter_(context.model),
        interpreter_(network_),
        single_(make_single_communicator()),
        ranges_(context.model, context.calibration, context.plan, options.ranges, options.ranges),
        parameters_(context.model, internal::trained_tensors(context.model, context.plan, options.all_sites), ranges_) {
    if (context.team != nullptr) monitor_ = context.team->monitor(context.monitor);
  }

  FinishedNetwork run() {
    record_.tensors = std::ssize(parameters_.ids());
    record_.values = parameters_.values();
    record_.label_share = options_.label_share;
    descent().bounds = ranges_.start().size();
    FinishedNetwork result{.model = context_.model, .calibration = context_.calibration, .record = {}};
    if (record_.values > 0 || descent().bounds > 0) {
      descent().stopped = !descend();
      if (descent().step_kept > 0) take_best(result);
    }
    result.record = record_;
    return result;
  }

 private:
  RangeAdjustment& descent() { return record_.descent; }
  Communicator& communicator() { return context_.team != nullptr ? context_.team->communicator() : *single_; }

  /// The network as it was, or as it is now.
  [[nodiscard]] Workplace place(const Model& model, const Interpreter& interpreter) const {
    return {.model = model,
            .interpreter = interpreter,
            .task = context_.task,
            .threads = options_.threads,
            .monitor = {.on_progress = {}, .should_stop = [this] { return stopped(); }},
            .team = context_.team,
            .label_share = options_.label_share};
  }

  bool stopped() const {
    const Monitor& monitor = monitor_ ? *monitor_ : context_.monitor;
    monitor.report({.stage = "finish", .done = record_.descent.steps, .total = options_.steps, .detail = detail_});
    return monitor.stopped();
  }

  /// False when stopped.
  bool descend() {
    auto parts = internal::split_samples(context_.training, options_.held_out, options_.most_held_out, options_.seed,
                                         "finishing");
    const auto needed = static_cast<std::size_t>(options_.steps) * static_cast<std::size_t>(options_.step_samples);
    if (parts.training.size() > needed) parts.training.resize(needed);
    CleanBatches training(context_.training, parts.training, options_.batch_size);
    CleanBatches held_out(context_.training, parts.held_out, options_.batch_size);
    held_out_ = parts.held_out;
    descent().held_out = held_out.samples();
    descent().trained_on = training.samples();
    const Workplace clean = place(context_.model, clean_interpreter_);
    if (!held_out.record(clean) || !training.record(clean)) return false;
    descent().forward_passes += share_of(held_out.samples() + training.samples());
    if (options_.label_share > 0) require_labels(context_, held_out.clean(0));
    return take_steps(training, held_out);
  }

  bool take_steps(const CleanBatches& training, const CleanBatches& held_out) {
    const Workplace now = place(network_, interpreter_);
    internal::Guard guard(now, held_out, context_.plan, context_.training.size(), descent());
    if (!guard.start(context_.calibration)) return false;
    detail_ = guard.describe();
    Rates rates;
    rates.add(parameters_.tensors(), options_.weight_rate);
    rates.add({parameters_.logs()}, options_.bound_rate);
    ShardedUpdate update(communicator(), rates.groups, options_.optimizer ? options_.optimizer : make_adam);
    parameters_.put_into(network_);
    const DamageGradient gradient(now, context_.calibration, context_.plan, ranges_, parameters_.ids());
    internal::BatchOrder order(training.size(), options_.seed);
    const auto per_step =
        static_cast<std::size_t>(std::max<std::int64_t>(1, options_.step_samples / options_.batch_size));
    while (descent().steps < options_.steps) {
      const auto chosen = order.next(per_step);
      const auto loss = set_gradients(gradient, training, chosen);
      if (!loss) return false;
      guard.add_step(*loss);
      const double fall = (1 + std::cos(descent().steps * 3.14159265358979323846 / options_.steps)) / 2;
      auto& groups = update.optimizer().param_groups();
      for (std::size_t g = 0; g < groups.size(); ++g) groups[g].options().set_lr(rates.largest[g] * fall);
      update.step();
      parameters_.clamp();
      parameters_.put_into(network_);
      if (++descent().steps % options_.steps_per_check != 0 && descent().steps < options_.steps) continue;
      if (!check(guard)) return false;
    }
    return true;
  }

  /// Of the mean loss over the chosen batches, this rank's part. The loss of all ranks; nothing when stopped.
  std::optional<double> set_gradients(const DamageGradient& gradient, const CleanBatches& training,
                                      const std::vector<std::size_t>& chosen) {
    double samples = 0;
    for (const std::size_t batch : chosen) samples += static_cast<double>(training.samples_in(batch));
    const auto ranks = static_cast<std::size_t>(communicator().size());
    std::vector<std::size_t> own;
    for (auto k = static_cast<std::size_t>(communicator().rank()); k < chosen.size(); k += ranks)
      own.push_back(chosen[k]);
    if (stopped()) return std::nullopt;
    const auto slope = gradient.at(parameters_.bounds(), training, own, samples);
    if (!slope) return std::nullopt;
    parameters_.set_gradients(*slope, static_cast<double>(ranks));  // the update takes the mean over ranks
    descent().forward_passes += share_of(static_cast<std::int64_t>(samples));
    descent().backward_passes += share_of(static_cast<std::int64_t>(samples));
    return total(slope->damage);
  }

  double total(double loss) {
    if (context_.team == nullptr) return loss;
    std::string bytes;
    internal::put(bytes, loss);
    double sum = 0;
    for (const auto& others : context_.team->exchange("a step of finishing", bytes))
      sum += internal::ByteReader(others).number<double>();
    return sum;
  }

  /// False when stopped.
  bool check(internal::Guard& guard) {
    std::vector<double> bounds = parameters_.bounds();
    const auto is_best = guard.check(ranges_.apply(context_.calibration, bounds));
    if (!is_best) return false;
    if (*is_best) {
      best_bounds_ = std::move(bounds);
      best_.clear();
      for (const ValueId id : parameters_.ids())
        best_.push_back(network_.tensors[static_cast<std::size_t>(id)].detach());
    }
    detail_ = guard.describe();
    return true;
  }

  void take_best(FinishedNetwork& result) {
    for (std::size_t k = 0; k < best_.size(); ++k)
      result.model.tensors[static_cast<std::size_t>(parameters_.ids()[k])] = best_[k];
    if (options_.ranges) result.calibration = ranges_.apply(context_.calibration, best_bounds_);
    for (std::size_t i = 0; i < result.model.sites.size(); ++i)
      if (const Site& site = result.model.sites[i]; site.has_weight())
        result.calibration.sites[i].weight_max =
            result.model.tensors[static_cast<std::size_t>(site.weight)].abs().max().item<double>();
    record_.model_digest = digest(result.model);
    const Interpreter interpreter(result.model);
    const auto held_out = make_subset({std::shared_ptr<const void>(), &context_.training}, held_out_, "held out");
    const bool known = internal::measure_errors(place(result.model, interpreter), *held_out, ranges_,
                                                options_.batch_size, result.calibration);
    if (!ranges_.inputs().empty()) descent().forward_passes += share_of(held_out->size());
    descent().stopped = descent().stopped || !known;
  }

  [[nodiscard]] double share_of(std::int64_t samples) const {
    return static_cast<double>(samples) / static_cast<double>(context_.training.size());
  }

  const FinishContext& context_;
  const FinishOptions& options_;
  Model network_;  ///< as it is now
  Interpreter clean_interpreter_;
  Interpreter interpreter_;
  std::unique_ptr<Communicator> single_;
  std::optional<Monitor> monitor_;
  RangeParameters ranges_;
  FinishParameters parameters_;
  FinishRecord record_;
  std::vector<std::int64_t> held_out_;
  std::vector<double> best_bounds_;
  std::vector<at::Tensor> best_;
  std::string detail_ = "outputs of the network as it was";
};

class DescentFinisher final : public Finisher {
 public:
  explicit DescentFinisher(FinishOptions options) : options_(std::move(options)) {}

  [[nodiscard]] std::string identity() const override { return internal::describe(options_); }

 private:
  [[nodiscard]] FinishedNetwork do_finish(const FinishContext& context) const override {
    return halftone::finish(context, options_);
  }

  FinishOptions options_;
};

}  // namespace

FinishedNetwork finish(const FinishContext& context, const FinishOptions& options) {
  require_valid("finish options", validate(options));
  require_ranges(context.model, context.calibration, context.plan);
  const auto start = std::chrono::steady_clock::now();
  // What runs between batches too: sums in LibTorch depend on the number of threads.
  const internal::OpenMpThreads one_thread(1);
  // Ranks wait for each other: one that fails has to say so.
  const auto run = [&] { return Finishing(context, options).run(); };
  FinishedNetwork result = context.team != nullptr ? context.team->share_failures(run) : run();
  result.record.descent.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

std::unique_ptr<Finisher> make_finisher(FinishOptions options) {
  require_valid("finish options", validate(options));
  return std::make_unique<DescentFinisher>(std::move(options));
}

}  // namespace halftone
