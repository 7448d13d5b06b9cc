#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/quant/quantizer.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "sensitivity/drawn_sums.hpp"
#include "sensitivity/random.hpp"
#include "sensitivity/sweep.hpp"

namespace halftone {

namespace {

using internal::BatchRange;
using internal::Change;
using internal::ChangeDamage;
using internal::mix;
using internal::Sweep;

/// Uniform in (-1/2, 1/2), on the CPU.
void fill(at::Tensor tensor, std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  tensor.uniform_(-0.5, 0.5, generator);
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
    const at::Tensor noise = at::empty(activation.sizes(), activation.options().device(at::kCPU));
    const std::int64_t samples = batch_.end - batch_.begin;
    const std::int64_t each = noise.size(0) / samples;  // some networks fold other dimensions into the first
    for (std::int64_t n = 0; n < samples; ++n)
      fill(noise.narrow(0, n * each, each), mix(seed_, 1 + static_cast<std::uint64_t>(batch_.begin + n)));
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
    const at::Tensor noise = at::empty(weight.sizes(), weight.options().device(at::kCPU));
    fill(noise, mix(seed_, 0));
    return weight + noise.mul_(at::tensor(at::ArrayRef<float>(scales)).reshape(shape)).to(weight.device());
  }

 private:
  const SensitivityInput& input_;
  BatchRange batch_;
  Precision precision_;
  std::uint64_t seed_;
};

/// Mean damages, draw by draw.
struct Draws {
  std::vector<double> damage;

  [[nodiscard]] double mean() const {
    double sum = 0;
    for (const double one : damage) sum += one;
    return sum / static_cast<double>(damage.size());
  }
  [[nodiscard]] double standard_error() const {
    double squares = 0;
    for (const double one : damage) squares += (one - mean()) * (one - mean());
    const auto n = static_cast<double>(damage.size());
    return std::sqrt(squares / (n - 1) / n);
  }
};

class NoiseInjection final : public SensitivityMetric {
 public:
  explicit NoiseInjection(const NoiseOptions& options) : options_(options) {
    require_valid("noise options", validate(options));
  }

  [[nodiscard]] std::string name() const override { return "noise"; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    Sweep sweep(input, name(), message(options_.draws, ' ', options_.most_draws, ' ', options_.standard_error));
    std::vector<Change> open = internal::single_changes(input);
    std::map<Change, Draws> draws;
    for (int first = 0; !open.empty() && first < options_.most_draws; first += options_.draws) {
      draw(input, sweep, open, first, std::min(options_.draws, options_.most_draws - first), draws);
      std::erase_if(open, [&](const Change& change) {
        const Draws& known = draws.at(change);
        return known.standard_error() <= options_.standard_error * known.mean();
      });
    }
    const std::vector<Change> rows = internal::single_changes(input);
    SensitivityTable table = internal::scored_table(
        input, rows, [&](std::size_t i) { return draws.at(rows[i]).mean(); },
        [&](std::size_t i) { return draws.at(rows[i]).standard_error(); });
    table.forward_passes = sweep.forward_passes();
    return table;
  }

  /// `count` more draws of every change in `open`, from draw `first`, all from one clean pass.
  static void draw(const SensitivityInput& input, Sweep& sweep, const std::vector<Change>& open, int first, int count,
                   std::map<Change, Draws>& draws) {
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
    for (std::size_t i = 0; i < changes.size(); ++i) draws[changes[i]].damage.push_back(damage.mean(i));
  }

  NoiseOptions options_;
};

}  // namespace

std::vector<std::string> validate(const NoiseOptions& options) {
  return internal::validate_draws({options.draws, options.most_draws, options.standard_error}, "draws", 2);
}

std::unique_ptr<SensitivityMetric> make_noise(const NoiseOptions& options) {
  return std::make_unique<NoiseInjection>(options);
}

}  // namespace halftone
