#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "core/scalar_type.hpp"
#include "graph/device.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "sensitivity/response_check.hpp"
#include "sensitivity/round_trip.hpp"
#include "sensitivity/sweep.hpp"

namespace halftone {

namespace {

using internal::BatchRange;
using internal::Change;
using internal::ChangeDamage;
using internal::Sweep;

/// Sums matrices in the order of batches, whatever order they come in: the same bits for any number of threads.
class OrderedSum {
 public:
  explicit OrderedSum(std::int64_t rows) : sum_(at::zeros({rows, rows}, at::kDouble)) {}

  void add(std::int64_t index, at::Tensor matrix) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(index, std::move(matrix));
    for (auto next = waiting_.begin(); next != waiting_.end() && next->first == next_; ++next_) {
      sum_.add_(next->second);
      next = waiting_.erase(next);
    }
  }

  [[nodiscard]] const at::Tensor& result() const { return sum_; }

 private:
  std::mutex mutex_;
  at::Tensor sum_;
  std::int64_t next_ = 0;
  std::map<std::int64_t, at::Tensor> waiting_;
};

/// Numbers in the response of one sample.
std::int64_t response_size(const SensitivityInput& input) {
  const at::NoGradGuard no_gradient;
  std::vector<at::Tensor> outputs;
  for (const ValueId id : input.model.graph.outputs) {
    const Value& value = input.model.graph.values[static_cast<std::size_t>(id)];
    const auto options = at::device(internal::device_of(input.model)).dtype(internal::to_scalar_type(value.dtype));
    outputs.push_back(at::zeros(sizes_at(value.shape, input.model.graph.sizes(1)), options));
  }
  return input.task.response(outputs, outputs).size(1);
}

class InterLayer final : public SensitivityMetric {
 public:
  explicit InterLayer(const InterLayerOptions& options) : options_(options) {
    require_valid("inter-layer options", validate(options));
  }

  [[nodiscard]] std::string name() const override { return "interlayer"; }
  [[nodiscard]] std::string identity() const override {
    return message(name(), ' ', internal::round_trip(options_.temperature));
  }
  [[nodiscard]] bool gives_pairs() const override { return true; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    const std::vector<Change> changes = internal::single_changes(input);
    const std::int64_t rows = std::ssize(changes);
    Sweep sweep(input, *this, rows * response_size(input) * static_cast<std::int64_t>(sizeof(double)));
    ChangeDamage damage(input, changes.size());
    OrderedSum products(rows);
    std::vector<at::Tensor> responses(static_cast<std::size_t>(sweep.batches()));  // [rows, samples d] of open batches
    const auto use = [&](const BatchRange& batch, std::size_t i, const Sweep::Outputs& outputs,
                         const Sweep::Outputs& clean, std::vector<double>& results) {
      if (batch.index == 0 && i == 0) internal::require_fitting_response(name(), input.task, clean, input.seed);
      damage.append(outputs, clean, results);
      const at::Tensor response = input.task.response(outputs, clean, options_.temperature).to(at::kCPU).reshape({-1});
      at::Tensor& of_batch = responses[static_cast<std::size_t>(batch.index)];
      if (i == 0) of_batch = at::empty({rows, response.size(0)}, at::kDouble);
      const auto row = static_cast<std::int64_t>(i);
      of_batch[row].copy_(response);
      if (row + 1 < rows) return;
      const at::Tensor product = of_batch.mm(of_batch.t());
      results.insert(results.end(), product.const_data_ptr<double>(), product.const_data_ptr<double>() + rows * rows);
      of_batch.reset();
    };
    // Of each batch: damage by change and sample, then the matrix.
    const auto keep = [&](const BatchRange& batch, std::span<const double> results) {
      const auto damages = static_cast<std::size_t>(rows * (batch.end - batch.begin));
      damage.keep(batch, results.first(damages));
      const at::Tensor product = at::empty({rows, rows}, at::kDouble);
      std::copy(results.begin() + static_cast<std::ptrdiff_t>(damages), results.end(),
                product.mutable_data_ptr<double>());
      products.add(batch.index, product);
    };
    sweep.quantize(changes, use, keep, static_cast<std::size_t>(rows * rows));
    const at::Tensor sum = products.result();  // symmetric up to rounding
    return make_table(input, changes, damage, (sum + sum.t()).div(2 * input.data.size()), sweep);
  }

  static SensitivityTable make_table(const SensitivityInput& input, const std::vector<Change>& changes,
                                     const ChangeDamage& damage, const at::Tensor& products, const Sweep& sweep) {
    const std::size_t rows = changes.size();
    const double* values = products.const_data_ptr<double>();
    const auto is_finite = [&](std::size_t i) {
      return std::isfinite(values[i * rows + i]) && std::isfinite(damage.mean(i));
    };
    double predicted = 0;
    double measured = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      if (!is_finite(i)) continue;
      predicted += values[i * rows + i] / 2;
      measured += damage.mean(i);
    }
    const double scale = predicted > 0 && measured > 0 ? measured / predicted : 1;
    const auto score = [&](std::size_t i) {
      return is_finite(i) ? scale * values[i * rows + i] / 2 : std::numeric_limits<double>::quiet_NaN();
    };
    SensitivityTable table = internal::pair_table(input, score, {values, values + rows * rows}, scale);
    table.forward_passes = sweep.forward_passes();
    return table;
  }

  InterLayerOptions options_;
};

}  // namespace

std::vector<std::string> validate(const InterLayerOptions& options) {
  if (options.temperature > 0 && std::isfinite(options.temperature)) return {};
  return {message("temperature is ", options.temperature, ": a number above 0 is needed")};
}

std::unique_ptr<SensitivityMetric> make_interlayer(const InterLayerOptions& options) {
  return std::make_unique<InterLayer>(options);
}

}  // namespace halftone
