#include "sensitivity/sweep.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "graph/device.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "sensitivity/input_digest.hpp"

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

std::string to_bytes(const std::vector<double>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double)};
}

std::optional<std::vector<double>> to_numbers(const std::string& bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(double));
  return numbers;
}

}  // namespace

std::vector<Change> single_changes(const SensitivityInput& input) {
  std::vector<Change> changes;
  for (std::size_t site = 0; site < input.model.sites.size(); ++site)
    for (const Precision precision : input.precisions) changes.push_back({{site, precision}});
  return changes;
}

SensitivityTable scored_table(const SensitivityInput& input, const std::vector<Change>& rows,
                              const std::function<double(std::size_t)>& score,
                              const std::function<double(std::size_t)>& error) {
  SensitivityTable table;
  table.scores.resize(input.model.sites.size());
  if (error) table.standard_errors.resize(input.model.sites.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto [site, precision] = rows[i].front();
    table.scores[site][precision] = score(i);
    if (error) table.standard_errors[site][precision] = error(i);
  }
  return table;
}

Sweep::Sweep(const SensitivityInput& input, std::string metric, const std::string& options)
    : input_(input), metric_(std::move(metric)), interpreter_(input.model) {
  if (input.data.size() == 0)
    throw Error(Errc::InvalidArgument,
                message("metric ", metric_, ": ", input.data.name(), " holds no samples: 128 to 500 are needed"));
  recording_bytes_ = input.most_bytes / input.threads;
  const std::int64_t bytes = std::max<std::int64_t>(interpreter_.recorded_bytes(1), 1);
  const std::int64_t fitting = recording_bytes_ / bytes;
  batch_size_ = fitting == 0 ? input.batch_size : std::min(fitting, input.batch_size);
  if (input.journal != nullptr) identity_ = message(input_digest(input), ' ', metric_, ' ', options);
}

BatchLoop Sweep::loop() const { return {input_.data.size(), batch_size_, input_.threads, "sense", metric_}; }

std::string Sweep::journal_key(const std::vector<Change>& changes, const BatchRange& batch) const {
  Digest key;
  key.add(identity_).add(runs_).add(batch.begin).add(batch.end);
  for (const Change& change : changes) {
    key.add(std::ssize(change));
    for (const auto& [site, precision] : change) key.add(static_cast<std::int64_t>(site)).add(to_string(precision));
  }
  return key.hex();
}

void Sweep::run(const std::vector<Change>& changes, const VisitorFn& visitor, const UseFn& use, const KeepFn& keep) {
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
    const CleanPass clean = interpreter_.record(inputs, recording_bytes_);
    std::vector<double> results;
    double passes = 1;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      if (stopped) return std::nullopt;
      const auto changed = sites_of(changes[i]);
      const auto replayed = interpreter_.replay(clean, changed, *visitor(batch, i));
      use(batch, i, replayed, clean.outputs, results);
      passes += interpreter_.replayed_share(clean, changed);
      done += batch.end - batch.begin;
      if (worker == 0) consult();
    }
    results.push_back(passes);
    return results;
  };

  ++runs_;
  std::vector<double> shares(static_cast<std::size_t>(batches.batches()));
  const bool completed = for_each_batch(batches, monitor, [&](const BatchRange& batch, std::size_t worker) {
    const std::string key = input_.journal != nullptr ? journal_key(changes, batch) : "";
    const auto known = input_.journal != nullptr ? input_.journal->find(key) : std::nullopt;
    const auto results = known ? to_numbers(*known) : run_batch(batch, worker);
    if (!results) return;
    if (known) done += (batch.end - batch.begin) * std::ssize(changes);
    if (!known && input_.journal != nullptr) input_.journal->append(key, to_bytes(*results));
    keep(batch, std::span(*results).first(results->size() - 1));
    shares[static_cast<std::size_t>(batch.index)] = results->back() * static_cast<double>(batch.end - batch.begin);
  });
  if (!completed || stopped) throw Stopped();
  for (const double share : shares) forward_passes_ += share / static_cast<double>(input_.data.size());
}

void Sweep::quantize(const std::vector<Change>& changes, const UseFn& use, const KeepFn& keep) {
  QuantizedWeights weights(input_.model, input_.calibration);
  for (const Precision precision : input_.precisions)
    weights.prepare(Plan::uniform(input_.model.sites.size(), precision));
  run(
      changes,
      [&](const BatchRange&, std::size_t i) { return std::make_unique<QuantizedSites>(input_, weights, changes[i]); },
      use, keep);
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
