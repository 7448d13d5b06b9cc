#include "sensitivity/sweep.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>

#include "graph/device.hpp"
#include "halftone/core/error.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone::internal {

namespace {

class QuantizedSites final : public SiteVisitor {
 public:
  QuantizedSites(const SensitivityInput& input, const QuantizedWeights& weights, const Change& change)
      : input_(input), weights_(weights), change_(change) {}

  at::Tensor input(std::size_t index, const at::Tensor& activation) override {
    return quantize_input(input_.model.sites[index], input_.calibration.sites[index],
                          precision_of(index).activation_bits, activation);
  }
  at::Tensor weight(std::size_t index, const at::Tensor&) override {
    return weights_.get(index, precision_of(index).weight_bits);
  }

 private:
  [[nodiscard]] Precision precision_of(std::size_t index) const {
    return std::find_if(change_.begin(), change_.end(), [&](const auto& entry) { return entry.first == index; })
        ->second;
  }

  const SensitivityInput& input_;
  const QuantizedWeights& weights_;
  const Change& change_;
};

std::vector<std::size_t> sites_of(const Change& change) {
  std::vector<std::size_t> sites;
  for (const auto& [site, precision] : change) sites.push_back(site);
  return sites;
}

}  // namespace

std::vector<Change> single_changes(const SensitivityInput& input) {
  std::vector<Change> changes;
  for (std::size_t site = 0; site < input.model.sites.size(); ++site)
    for (const Precision precision : input.precisions) changes.push_back({{site, precision}});
  return changes;
}

Sweep::Sweep(const SensitivityInput& input, std::string metric)
    : input_(input), metric_(std::move(metric)), interpreter_(input.model) {
  if (input.data.size() == 0)
    throw Error(Errc::InvalidArgument,
                message("metric ", metric_, ": ", input.data.name(), " holds no samples: 128 to 500 are needed"));
  recording_bytes_ = input.most_bytes / input.threads;
  const std::int64_t bytes = std::max<std::int64_t>(interpreter_.recorded_bytes(1), 1);
  batch_size_ = std::clamp<std::int64_t>(recording_bytes_ / bytes, 1, input.batch_size);
}

BatchLoop Sweep::loop() const { return {input_.data.size(), batch_size_, input_.threads, "sense", metric_}; }

void Sweep::run(const std::vector<Change>& changes, const VisitorFn& visitor, const UseFn& use) {
  const at::Device device = device_of(input_.model);
  const BatchLoop batches = loop();
  std::atomic<bool> stopped = false;
  std::atomic<std::int64_t> done = 0;
  const std::int64_t total = input_.data.size() * std::ssize(changes);
  const auto consult = [&] {
    input_.monitor.report({.stage = "sense", .done = done, .total = total, .detail = metric_});
    if (input_.monitor.stopped()) stopped = true;
    return stopped.load();
  };
  const Monitor monitor{.on_progress = {}, .should_stop = consult};

  std::vector<double> shares(static_cast<std::size_t>(batches.batches()));
  const bool completed = for_each_batch(batches, monitor, [&](const BatchRange& batch, std::size_t worker) {
    const auto inputs = move_to(device, input_.data.range(batch.begin, batch.end).inputs);
    const CleanPass clean = interpreter_.record(inputs, recording_bytes_);
    double passes = 1;
    for (std::size_t i = 0; i < changes.size() && !stopped; ++i) {
      const auto changed = sites_of(changes[i]);
      const auto replayed = interpreter_.replay(clean, changed, *visitor(batch, i));
      use(batch, i, replayed, clean.outputs);
      passes += interpreter_.replayed_share(clean, changed);
      done += batch.end - batch.begin;
      if (worker == 0) consult();
    }
    shares[static_cast<std::size_t>(batch.index)] = passes * static_cast<double>(batch.end - batch.begin);
  });
  if (!completed || stopped) throw Stopped();
  for (const double share : shares) forward_passes_ += share / static_cast<double>(input_.data.size());
}

void Sweep::quantize(const std::vector<Change>& changes, const UseFn& use) {
  QuantizedWeights weights(input_.model, input_.calibration);
  for (const Precision precision : input_.precisions)
    weights.prepare(Plan::uniform(input_.model.sites.size(), precision));
  run(
      changes,
      [&](const BatchRange&, std::size_t i) { return std::make_unique<QuantizedSites>(input_, weights, changes[i]); },
      use);
}

ChangeDamage::ChangeDamage(const SensitivityInput& input, std::size_t changes)
    : input_(input), samples_(static_cast<std::size_t>(input.data.size())), damage_(changes * samples_) {}

void ChangeDamage::store(const BatchRange& batch, std::size_t change, const Sweep::Outputs& outputs,
                         const Sweep::Outputs& clean) {
  const at::Tensor damage = input_.task.damage(outputs, clean).to(at::kCPU).contiguous();
  std::copy_n(damage.const_data_ptr<double>(), damage.numel(),
              damage_.begin() + static_cast<std::ptrdiff_t>(change * samples_) + batch.begin);
}

double ChangeDamage::mean(std::size_t change) const {
  double sum = 0;
  for (std::size_t i = 0; i < samples_; ++i) sum += damage_[change * samples_ + i];
  return sum / static_cast<double>(samples_);
}

double ChangeDamage::standard_error(std::size_t change) const {
  if (samples_ < 2) return 0;
  const double center = mean(change);
  double squares = 0;
  for (std::size_t i = 0; i < samples_; ++i) squares += std::pow(damage_[change * samples_ + i] - center, 2);
  return std::sqrt(squares / static_cast<double>(samples_ - 1) / static_cast<double>(samples_));
}

}  // namespace halftone::internal
