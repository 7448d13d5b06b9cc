#include "sensitivity/sweep.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "data/shared_batches.hpp"
#include "graph/device.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "sensitivity/finite_outputs.hpp"
#include "sensitivity/input_digest.hpp"
#include "sensitivity/spread.hpp"

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

std::string to_bytes(std::span<const double> numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes()};
}

/// Nothing unless there are `count` of them.
std::optional<std::vector<double>> to_numbers(const std::string& bytes, std::size_t count) {
  if (bytes.size() != count * sizeof(double)) return std::nullopt;
  std::vector<double> numbers(count);
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(double));
  return numbers;
}

/// Puts NaN in the place of what change `index` did to samples that are `broken`.
void spoil(std::vector<double>& results, std::size_t index, const at::Tensor& broken) {
  const auto samples = static_cast<std::size_t>(broken.numel());
  for (std::size_t n = 0; n < samples; ++n)
    if (broken.const_data_ptr<bool>()[n]) results.at(index * samples + n) = std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

Sweep::Sweep(const SensitivityInput& input, const SensitivityMetric& metric, std::int64_t sample_bytes)
    : input_(input), metric_(metric.name()), interpreter_(input.model) {
  if (input.data.size() == 0)
    throw Error(Errc::InvalidArgument,
                message("metric ", metric_, ": ", input.data.name(), " holds no samples: 128 to 500 are needed"));
  if (sample_bytes > input.most_bytes)
    throw Error(Errc::InvalidArgument, message("metric ", metric_, " keeps ", sample_bytes,
                                               " bytes for each sample of a batch, most_bytes is ", input.most_bytes,
                                               ": raise it, score fewer precisions, or take metric damage or error"));
  const std::int64_t recorded = std::max<std::int64_t>(interpreter_.recorded_bytes(input_.model.graph.sizes(1)), 1);
  records_ = recorded <= input.most_bytes - sample_bytes;
  const std::int64_t bytes = sample_bytes + (records_ ? recorded : 0);
  const auto fitting = [&](std::int64_t each, std::int64_t most) {
    return each == 0 ? most : std::clamp<std::int64_t>(input.most_bytes / each, 1, most);
  };
  // Results may depend on the size of batches in their last bits, so that must not depend on the number of threads.
  batch_size_ = fitting(bytes, input.batch_size);
  threads_ = static_cast<int>(fitting(bytes * batch_size_, input.threads));
  if (input.journal != nullptr) identity_ = message(input_digest(input), ' ', metric.identity());
}

BatchLoop Sweep::loop() const { return {input_.data.size(), batch_size_, threads_, "sense", metric_}; }

std::string Sweep::journal_key(const std::vector<Change>& changes, const BatchRange& batch) const {
  Digest key;
  key.add(identity_).add(runs_).add(batch.begin).add(batch.end);
  for (const Change& change : changes) {
    key.add(std::ssize(change));
    for (const auto& [site, precision] : change) key.add(static_cast<std::int64_t>(site)).add(to_string(precision));
  }
  return key.hex();
}

void Sweep::run(const std::vector<Change>& changes, const VisitorFn& visitor, const UseFn& use, const KeepFn& keep,
                std::size_t more) {
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

  // What is made of one batch, and behind it the passes that it took; nothing when stopped.
  const auto run_batch = [&](const BatchRange& batch, std::size_t worker) -> std::optional<std::vector<double>> {
    const auto inputs = move_to(device, input_.data.range(batch.begin, batch.end).inputs);
    const CleanPass clean = interpreter_.record(inputs, records_ ? input_.most_bytes : 0);
    require_finite_clean(metric_, input_.data, batch, clean.outputs);
    std::vector<double> results;
    double passes = 1;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      if (stopped) return std::nullopt;
      const auto changed = sites_of(changes[i]);
      const auto replayed = finite_outputs(interpreter_.replay(clean, changed, *visitor(batch, i)), clean.outputs);
      use(batch, i, replayed.outputs, clean.outputs, results);
      if (replayed.broken.defined()) spoil(results, i, replayed.broken);
      passes += interpreter_.replayed_share(clean, changed);
      done += batch.end - batch.begin;
      if (worker == 0) consult();
    }
    results.push_back(passes);
    return results;
  };
  const auto numbers_of = [&](const BatchRange& batch) {
    return changes.size() * static_cast<std::size_t>(batch.end - batch.begin) + more + 1;
  };

  ++runs_;
  std::vector<double> shares(static_cast<std::size_t>(batches.batches()));
  const auto find = [&](const BatchRange& batch) -> std::optional<std::vector<double>> {
    const auto record = input_.journal != nullptr ? input_.journal->find(journal_key(changes, batch)) : std::nullopt;
    return record ? to_numbers(*record, numbers_of(batch)) : std::nullopt;
  };
  const auto make = [&](const BatchRange& batch, std::size_t worker) -> std::optional<BatchResult> {
    const auto known = find(batch);
    if (known) done += (batch.end - batch.begin) * std::ssize(changes);
    const auto results = known ? known : run_batch(batch, worker);
    if (!results) return std::nullopt;
    TORCH_INTERNAL_ASSERT(results->size() == numbers_of(batch));
    return BatchResult{at::tensor(*results, at::kDouble), at::scalar_tensor(known ? 1 : 0, at::kByte)};
  };
  const auto take = [&](const BatchRange& batch, const BatchResult& result) {
    const std::span numbers(result[0].const_data_ptr<double>(), numbers_of(batch));
    const bool was_known = (result[1].item<std::uint8_t>() != 0);
    if (!was_known && input_.journal != nullptr) input_.journal->append(journal_key(changes, batch), to_bytes(numbers));
    keep(batch, numbers.first(numbers.size() - 1));
    shares[static_cast<std::size_t>(batch.index)] = numbers.back() * static_cast<double>(batch.end - batch.begin);
  };
  const bool completed = share_batches(input_.team, message(metric_, ", run ", runs_), batches, monitor, make, take);
  if (!completed || stopped) throw Stopped();
  for (const double share : shares) forward_passes_ += share / static_cast<double>(input_.data.size());
}

void Sweep::quantize(const std::vector<Change>& changes, const UseFn& use, const KeepFn& keep, std::size_t more) {
  QuantizedWeights weights(input_.model, input_.calibration);
  for (const Precision precision : input_.precisions)
    weights.prepare(Plan::uniform(input_.model.sites.size(), precision));
  run(
      changes,
      [&](const BatchRange&, std::size_t i) { return std::make_unique<QuantizedSites>(input_, weights, changes[i]); },
      use, keep, more);
}

ChangeDamage::ChangeDamage(const SensitivityInput& input, std::size_t changes)
    : input_(input), samples_(static_cast<std::size_t>(input.data.size())), damage_(changes * samples_) {}

void ChangeDamage::append(const Sweep::Outputs& outputs, const Sweep::Outputs& clean,
                          std::vector<double>& results) const {
  const at::Tensor damage = input_.task.damage(outputs, clean).to(at::kCPU).contiguous();
  results.insert(results.end(), damage.const_data_ptr<double>(), damage.const_data_ptr<double>() + damage.numel());
}

void ChangeDamage::keep(const BatchRange& batch, std::span<const double> results) {
  const std::int64_t samples = batch.end - batch.begin;
  for (std::size_t change = 0; change * static_cast<std::size_t>(samples) < results.size(); ++change)
    std::copy_n(results.begin() + static_cast<std::ptrdiff_t>(change) * samples, samples,
                damage_.begin() + static_cast<std::ptrdiff_t>(change * samples_) + batch.begin);
}

std::span<const double> ChangeDamage::of(std::size_t change) const {
  return std::span(damage_).subspan(change * samples_, samples_);
}

double ChangeDamage::mean(std::size_t change) const { return internal::mean(of(change)); }

double ChangeDamage::standard_error(std::size_t change) const { return std::sqrt(variance_of_mean(of(change))); }

}  // namespace halftone::internal
