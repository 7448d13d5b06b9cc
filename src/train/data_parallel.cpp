#include "halftone/train/data_parallel.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <random>

#include "data/shuffle.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/train/gradient_buckets.hpp"

namespace halftone {

namespace {

using Clock = std::chrono::steady_clock;
using Indices = std::vector<std::int64_t>;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The part of `count` things that a rank has: parts differ by one at most.
std::pair<std::int64_t, std::int64_t> share(std::int64_t count, const Communicator& ranks) {
  return {count * ranks.rank() / ranks.size(), count * (ranks.rank() + 1) / ranks.size()};
}

/// Every rank's `tensor`, of any strides, becomes rank 0's.
void copy_first(const at::Tensor& tensor, Communicator& ranks) {
  const at::Tensor copy = tensor.contiguous();
  ranks.broadcast(copy);
  if (!copy.is_same(tensor)) tensor.copy_(copy);
}

/// Gradients to weights, either way.
class Update {
 public:
  Update(Communicator& ranks, const std::vector<torch::optim::OptimizerParamGroup>& groups,
         const OptimizerFactory& make, UpdateMode mode) {
    if (mode == UpdateMode::Sharded) {
      sharded_.emplace(ranks, groups, make);
      return;
    }
    for (const auto& group : groups)
      parameters_.insert(parameters_.end(), group.params().begin(), group.params().end());
    {
      const at::NoGradGuard no_gradient;
      for (const at::Tensor& parameter : parameters_) copy_first(parameter.detach(), ranks);
    }
    own_ranks_ = ranks.split(0);  // batch norms may communicate in backward, beside buckets under way
    buckets_.emplace(*own_ranks_, parameters_);
    replicated_ = make(groups);
  }

  void set_rate(double rate) {
    for (auto& group : optimizer().param_groups()) group.options().set_lr(rate);
  }

  void step() {
    if (sharded_) {
      sharded_->step();
      sharded_->zero_grad();
      return;
    }
    buckets_->finish();
    replicated_->step();
    for (const at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  }

  /// Adds the gradients of `loss`, which go on their way with those of a step's last part.
  void backward(const at::Tensor& loss, bool is_last) {
    if (sharded_ || is_last) return loss.backward();
    const auto accumulation = buckets_->accumulate();
    loss.backward();
  }

  [[nodiscard]] std::int64_t state_bytes() { return optimizer_state_bytes(optimizer()); }

 private:
  torch::optim::Optimizer& optimizer() { return sharded_ ? sharded_->optimizer() : *replicated_; }

  std::optional<ShardedUpdate> sharded_;
  std::vector<at::Tensor> parameters_;
  std::unique_ptr<Communicator> own_ranks_;
  std::optional<GradientBuckets> buckets_;
  std::unique_ptr<torch::optim::Optimizer> replicated_;
};

/// Floating-point buffers, such as running statistics, become the mean of all ranks'.
void average_buffers(torch::nn::Module& module, Communicator& ranks) {
  if (ranks.size() == 1) return;
  const at::NoGradGuard no_gradient;
  for (at::Tensor& buffer : module.buffers()) {
    if (!buffer.is_floating_point()) continue;
    const at::Tensor mean = buffer.contiguous().div(ranks.size());
    ranks.all_reduce(mean);
    buffer.copy_(mean);
  }
}

void require_samples(const Dataset& data, const TrainOptions& options, const Communicator& ranks) {
  const std::int64_t least = options.together > 0 ? std::min(options.batch, options.together) : options.batch;
  if (std::min(least, data.size()) < ranks.size())
    throw Error(Errc::InvalidArgument, message("training: ", least, " samples at once, of ", data.size(), ", for ",
                                               ranks.size(), " ranks: each needs at least one"));
}

void require_classes(const Dataset& data) {
  const at::Tensor targets = data.targets();
  if (data.size() == 0 || !targets.defined() || targets.dim() != 1 ||
      !c10::isIntegralType(targets.scalar_type(), /*includeBool=*/false))
    throw Error(Errc::InvalidArgument,
                message("training: ", data.name(), " has no class for each of its ", data.size(), " samples"));
}

/// Steps and evaluations, one after the other.
class Training {
 public:
  Training(const TrainableModule& module, const Dataset& data, const TrainOptions& options, Communicator& ranks,
           Update& update)
      : module_(module), data_(data), options_(options), ranks_(ranks), update_(update), order_(data.size()) {
    std::iota(order_.begin(), order_.end(), 0);
  }

  /// Mean loss over the steps of one more epoch; nothing where any rank was stopped.
  std::optional<double> epoch(std::uint64_t number, TrainResult& result, const Monitor& monitor) {
    std::mt19937_64 random(options_.seed * 1'000'003 + number);
    internal::shuffle(order_, random);
    module_.module->train();
    double sum = 0;
    const std::int64_t samples = data_.size();
    std::int64_t done = 0;
    for (std::int64_t begin = 0; begin < samples; begin += options_.batch) {
      const std::int64_t end = std::min(begin + options_.batch, samples);
      if (end - begin < ranks_.size()) break;
      ++result.steps;
      if (options_.rate) update_.set_rate(options_.rate(result.steps));
      sum += step(begin, end, result.update_seconds) * static_cast<double>(end - begin);
      done = end;
      monitor.report({.stage = "train", .done = end, .total = samples, .detail = message("epoch ", number)});
    }
    const at::Tensor totals = at::tensor({sum, monitor.stopped() ? 1.0 : 0.0}, at::kDouble);
    ranks_.all_reduce(totals);
    if (totals[1].item<double>() > 0) return std::nullopt;
    return totals[0].item<double>() / static_cast<double>(done);
  }

 private:
  /// This rank's part of the mean loss over the samples at [begin, end) of the order.
  double step(std::int64_t begin, std::int64_t end, double& update_seconds) {
    const std::int64_t together = options_.together > 0 ? options_.together : end - begin;
    double loss = 0;
    for (std::int64_t part = begin; part < end;) {
      std::int64_t next = std::min(part + together, end);
      if (end - next < ranks_.size()) next = end;  // no rank is left without samples
      loss += backward(part, next, end - begin, next == end);
      part = next;
    }
    const auto start = Clock::now();
    update_.step();
    update_seconds += seconds_since(start);
    return loss;
  }

  /// Adds the gradients of this rank's share of [begin, end), as a part of the mean over `samples`.
  double backward(std::int64_t begin, std::int64_t end, std::int64_t samples, bool is_last) {
    const auto [first, last] = share(end - begin, ranks_);
    const Batch batch = data_.get(
        std::span(order_).subspan(static_cast<std::size_t>(begin + first), static_cast<std::size_t>(last - first)));
    const at::Tensor logits = module_.forward(batch.inputs.at(0));
    const at::Tensor loss = at::cross_entropy_loss(logits, batch.targets.to(at::kLong), {}, at::Reduction::Sum, -100,
                                                   options_.label_smoothing) /
                            static_cast<double>(samples);
    update_.backward(loss * ranks_.size(), is_last);  // gradients are averaged over ranks
    return loss.item<double>();
  }

  const TrainableModule& module_;
  const Dataset& data_;
  const TrainOptions& options_;
  Communicator& ranks_;
  Update& update_;
  Indices order_;
};

}  // namespace

std::vector<std::string> validate(const TrainOptions& options) {
  std::vector<std::string> violations;
  if (options.batch < 1) violations.push_back(message("batch is ", options.batch, ": at least 1"));
  if (options.epochs < 1) violations.push_back(message("epochs is ", options.epochs, ": at least 1"));
  if (options.evaluation_batch < 1)
    violations.push_back(message("evaluation_batch is ", options.evaluation_batch, ": at least 1"));
  if (options.together < 0) violations.push_back(message("together is ", options.together, ": 0 (all) or more"));
  if (!(options.target >= 0 && options.target <= 1))
    violations.push_back(message("target is ", options.target, ": a share in [0, 1] is needed, 0 for none"));
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1))
    violations.push_back(message("label_smoothing is ", options.label_smoothing, ": a share in [0, 1) is needed"));
  return violations;
}

std::int64_t steps_of_epoch(std::int64_t samples, std::int64_t batch, int ranks) {
  return samples / batch + (samples % batch >= ranks ? 1 : 0);
}

Count count_right(const TrainableModule& module, const Dataset& data, std::int64_t batch, Communicator& communicator) {
  const at::NoGradGuard no_gradient;
  const auto [first, last] = share(data.size(), communicator);
  std::int64_t right = 0;
  for (std::int64_t begin = first; begin < last; begin += batch) {
    const Batch samples = data.range(begin, std::min(begin + batch, last));
    const at::Tensor classes = module.forward(samples.inputs.at(0)).argmax(1);
    right += classes.eq(samples.targets.to(classes.device())).sum().item<std::int64_t>();
  }
  const at::Tensor counts = at::tensor({right, last - first}, at::kLong);
  communicator.all_reduce(counts);
  return {counts[0].item<std::int64_t>(), counts[1].item<std::int64_t>()};
}

TrainResult train_data_parallel(const TrainableModule& module, const Dataset& training, const Dataset& validation,
                                const std::vector<torch::optim::OptimizerParamGroup>& groups,
                                const OptimizerFactory& make, const TrainOptions& options, Communicator& communicator,
                                const Monitor& monitor) {
  require_valid("training options", validate(options));
  require_classes(training);
  require_classes(validation);
  require_samples(training, options, communicator);
  MlLog* const log = communicator.rank() == 0 ? options.log : nullptr;
  Update update(communicator, groups, make, options.update);
  {
    const at::NoGradGuard no_gradient;
    for (const at::Tensor& buffer : module.module->buffers()) copy_first(buffer, communicator);
  }
  Training loop(module, training, options, communicator, update);
  TrainResult result;
  if (log != nullptr) log->run_start();
  for (std::int64_t epoch = 1; epoch <= options.epochs && !result.reached && !result.stopped; ++epoch) {
    const auto start = Clock::now();
    if (log != nullptr) log->epoch_start(epoch);
    const auto loss = loop.epoch(static_cast<std::uint64_t>(epoch), result, monitor);
    if (log != nullptr) log->epoch_stop(epoch);
    result.stopped = !loss;
    if (result.stopped) break;
    average_buffers(*module.module, communicator);
    module.module->eval();
    if (log != nullptr) log->eval_start(epoch);
    const Count count = count_right(module, validation, options.evaluation_batch, communicator);
    const double accuracy = static_cast<double>(count.right) / static_cast<double>(count.samples);
    if (log != nullptr) log->eval_stop(epoch);
    if (log != nullptr) log->eval_accuracy(accuracy, epoch);
    result.epochs.push_back({*loss, accuracy, seconds_since(start)});
    result.reached = options.target > 0 && accuracy >= options.target;
  }
  module.module->eval();
  result.optimizer_bytes = update.state_bytes();
  if (log != nullptr) log->run_stop(result.reached);
  return result;
}

}  // namespace halftone
