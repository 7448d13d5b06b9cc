#include "adjust/clean_batches.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "data/shared_batches.hpp"
#include "data/shuffle.hpp"
#include "graph/device.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone::internal {

std::vector<std::int64_t> shuffled(std::int64_t count, std::mt19937_64& random) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  shuffle(order, random);
  return order;
}

CleanBatches::CleanBatches(const Dataset& data, const std::vector<std::int64_t>& samples, std::int64_t batch_size)
    : data_(data) {
  for (std::int64_t begin = 0; begin < std::ssize(samples); begin += batch_size)
    indices_.emplace_back(samples.begin() + begin,
                          samples.begin() + std::min<std::int64_t>(begin + batch_size, std::ssize(samples)));
}

bool CleanBatches::record(const Workplace& place) {
  outputs_.resize(size());
  const BatchLoop loop{std::ssize(indices_), 1, place.threads, "adjust"};
  return share_batches(
      place.team, "clean outputs", loop, place.monitor,
      [&](const BatchRange& item, std::size_t) -> std::optional<BatchResult> {
        return place.interpreter.run(inputs(place.model, static_cast<std::size_t>(item.index)));
      },
      [&](const BatchRange& item, BatchResult outputs) {
        outputs_[static_cast<std::size_t>(item.index)] = move_to(device_of(place.model), std::move(outputs));
      });
}

std::int64_t CleanBatches::samples() const {
  std::int64_t sum = 0;
  for (const auto& batch : indices_) sum += std::ssize(batch);
  return sum;
}

std::vector<at::Tensor> CleanBatches::inputs(const Model& model, std::size_t batch) const {
  return move_to(device_of(model), data_.get(indices_[batch]).inputs);
}

at::Tensor CleanBatches::targets(std::size_t batch) const {
  const at::Tensor all = data_.targets();
  if (!all.defined()) return all;
  return all.index_select(0, at::tensor(at::ArrayRef<std::int64_t>(indices_[batch]), at::kLong));
}

at::Tensor loss(const Workplace& place, const CleanBatches& batches, std::size_t batch,
                const std::vector<at::Tensor>& outputs) {
  at::Tensor damage = place.task.damage(outputs, batches.clean(batch));
  if (place.label_share == 0) return damage;
  const at::Tensor targets = batches.targets(batch).to(outputs[0].device(), at::kLong);
  const at::Tensor entropy = at::cross_entropy_loss(outputs[0].to(at::kDouble), targets, {}, at::Reduction::None);
  return damage * (1 - place.label_share) + entropy * place.label_share;
}

std::optional<double> damage(const Workplace& place, const CleanBatches& batches, const Calibration& calibration,
                             const Plan& plan) {
  QuantizedWeights weights(place.model, calibration);
  weights.prepare(plan);
  std::vector<double> sums(batches.size());
  const BatchLoop loop{std::ssize(sums), 1, place.threads, "adjust"};
  const bool completed = share_batches(
      place.team, "damage of ranges", loop, place.monitor,
      [&](const BatchRange& item, std::size_t) -> std::optional<BatchResult> {
        const auto batch = static_cast<std::size_t>(item.index);
        QuantizedVisitor visitor(place.model, calibration, plan, &weights);
        const auto outputs = place.interpreter.run(batches.inputs(place.model, batch), &visitor);
        return BatchResult{loss(place, batches, batch, outputs).sum()};
      },
      [&](const BatchRange& item, const BatchResult& sum) {
        sums[static_cast<std::size_t>(item.index)] = sum.front().item<double>();
      });
  if (!completed) return std::nullopt;
  return std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(batches.samples());
}

}  // namespace halftone::internal
