#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/quant/quantizer.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "sensitivity/drawn_sums.hpp"
#include "sensitivity/random.hpp"
#include "sensitivity/spread.hpp"
#include "sensitivity/sweep.hpp"

namespace halftone {

namespace {

using internal::BatchRange;
using internal::Change;
using internal::ChangeDamage;
using internal::mean;
using internal::mix;
using internal::Sweep;

/// Uniform in (-1/2, 1/2), on the CPU, contiguous, in the type of `like`.
at::Tensor uniform(at::IntArrayRef sizes, const at::Tensor& like, std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::empty(sizes, like.options().device(at::kCPU)).uniform_(-0.5, 0.5, generator);
}

/// The same for an activation, with a stream for every sample. Some networks fold other dimensions into that of the
/// batch: a sample then has a block of `batch` there. What belongs to no sample is drawn alike in every batch.
at::Tensor uniform_by_sample(const Shape& shape, const at::Tensor& like, const BatchRange& batch, std::uint64_t seed) {
  const auto grows = std::find_if(shape.begin(), shape.end(), [](const SymInt& size) { return size.batch != 0; });
  const std::uint64_t of_none = mix(seed, ~std::uint64_t{0});
  if (grows == shape.end()) return uniform(like.sizes(), like, of_none);
  const auto dimension = static_cast<std::int64_t>(grows - shape.begin());
  std::vector<std::int64_t> sizes = like.sizes().vec();
  std::vector<at::Tensor> blocks;
  const auto add = [&](std::int64_t size, std::uint64_t stream) {
    sizes[static_cast<std::size_t>(dimension)] = size;
    blocks.push_back(uniform(sizes, like, stream));
  };
  for (std::int64_t n = batch.begin; n < batch.end; ++n)
    add(grows->batch, mix(seed, 1 + static_cast<std::uint64_t>(n)));
  if (grows->offset > 0) add(grows->offset, of_none);
  return at::cat(blocks, dimension);
}

/// Adds noise to one site's operands. Every sample has a stream of its own, so that batches of any size see the same.
class Noise final : public SiteVisitor {
 public:
  Noise(const SensitivityInput& input, const BatchRange& batch, Precision precision, std::uint64_t seed)
      : input_(input), batch_(batch), precision_(precision), seed_(seed) {}

  at::Tensor input(std::size_t index, const at::Tensor& activation) override {
    const int bits = precision_.activation_bits;
    if (bits == 16) return activation;
    const auto scale = params(input_.calibration.sites[index].input.at(bits), bits).scale;
    const at::Tensor noise = uniform_by_sample(input_.model.sites[index].input_shape, activation, batch_, seed_);
    return activation + noise.mul_(scale).to(activation.device());
  }

  at::Tensor weight(std::size_t index, const at::Tensor& weight) override {
    const int bits = precision_.weight_bits;
    if (bits == 16) return weight;
    std::vector<float> scales;
    for (const double bound : input_.calibration.sites[index].weight.at(bits).bounds)
      scales.push_back(weight_params(bound, bits).scale);
    std::vector<std::int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
    shape[static_cast<std::size_t>(input_.model.sites[index].weight_channel_axis)] = -1;
    const at::Tensor noise = uniform(weight.sizes(), weight, mix(seed_, 0));
    return weight + noise.mul_(at::tensor(at::ArrayRef<float>(scales)).reshape(shape)).to(weight.device());
  }

 private:
  const SensitivityInput& input_;
  BatchRange batch_;
  Precision precision_;
  std::uint64_t seed_;
};

double standard_error(std::span<const double> draws) { return std::sqrt(internal::variance_of_mean(draws)); }

class NoiseInjection final : public SensitivityMetric {
 public:
  explicit NoiseInjection(const NoiseOptions& options) : options_(options) {
    require_valid("noise options", validate(options));
  }

  [[nodiscard]] std::string name() const override { return "noise"; }
  [[nodiscard]] std::string identity() const override {
    return internal::identity_of(name(), {options_.draws, options_.most_draws, options_.standard_error});
  }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    Sweep sweep(input, *this);
    std::vector<Change> open = internal::single_changes(input);
    std::map<Change, std::vector<double>> draws;  // mean damages
    for (int first = 0; !open.empty() && first < options_.most_draws; first += options_.draws) {
      draw(input, sweep, open, first, std::min(options_.draws, options_.most_draws - first), draws);
      std::erase_if(open, [&](const Change& change) {  // also where a draw is not finite: no more will mend it
        return !(standard_error(draws.at(change)) > options_.standard_error * mean(draws.at(change)));
      });
    }
    const std::vector<Change> rows = internal::single_changes(input);
    SensitivityTable table = internal::scored_table(
        input, rows, [&](std::size_t i) { return mean(draws.at(rows[i])); },
        [&](std::size_t i) { return standard_error(draws.at(rows[i])); });
    table.forward_passes = sweep.forward_passes();
    return table;
  }

  /// `count` more draws of every change in `open`, from draw `first`, all from one clean pass.
  static void draw(const SensitivityInput& input, Sweep& sweep, const std::vector<Change>& open, int first, int count,
                   std::map<Change, std::vector<double>>& draws) {
    std::vector<Change> changes;
    for (const Change& change : open) changes.insert(changes.end(), static_cast<std::size_t>(count), change);
    const auto visitor = [&](const BatchRange& batch, std::size_t i) {
      const std::size_t number = static_cast<std::size_t>(first) + i % static_cast<std::size_t>(count);
      return std::make_unique<Noise>(input, batch, changes[i].front().second, mix(input.seed, number));
    };
    ChangeDamage damage(input, changes.size());
    sweep.run(
        changes, visitor,
        [&](const BatchRange&, std::size_t, const Sweep::Outputs& outputs, const Sweep::Outputs& clean,
            std::vector<double>& results) { damage.append(outputs, clean, results); },
        [&](const BatchRange& batch, std::span<const double> results) { damage.keep(batch, results); });
    for (std::size_t i = 0; i < changes.size(); ++i) draws[changes[i]].push_back(damage.mean(i));
  }

  NoiseOptions options_;
};

}  // namespace

std::vector<std::string> validate(const NoiseOptions& options) {
  return internal::validate_draws({options.draws, options.most_draws, options.standard_error}, "draws");
}

std::unique_ptr<SensitivityMetric> make_noise(const NoiseOptions& options) {
  return std::make_unique<NoiseInjection>(options);
}

}  // namespace halftone
