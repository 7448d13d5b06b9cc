#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "sensitivity/drawn_sums.hpp"
#include "sensitivity/gradients.hpp"
#include "sensitivity/random.hpp"

namespace halftone {

namespace {

using internal::DrawnSums;
using internal::GradientLoop;
using internal::GradientPass;
using internal::Tensors;

/// Probes the Hessian blocks of all sites: of weights, and of the inputs of sites that have none. The two take a
/// Hessian-vector product each: in one draw, cross terms with activations would swamp the weights.
class BlockProbe {
 public:
  /// Builds the graph of the gradient.
  BlockProbe(const SensitivityInput& input, const std::string& metric, const GradientPass& pass)
      : metric_(metric), seed_(internal::mix(input.seed, static_cast<std::uint64_t>(pass.batch.index))) {
    for (const bool has_weight : {true, false}) {
      Group group;
      for (std::size_t i = 0; i < input.model.sites.size(); ++i) {
        if (input.model.sites[i].has_weight() != has_weight) continue;
        group.sites.push_back(i);
        group.variables.push_back(has_weight ? pass.weights[i] : pass.inputs[i]);
      }
      if (!group.sites.empty()) groups_.push_back(std::move(group));
    }
    Tensors all;
    for (const Group& group : groups_) all.insert(all.end(), group.variables.begin(), group.variables.end());
    const Tensors gradient =
        internal::differentiable_gradient(metric, input.task.damage(pass.outputs, pass.clean).sum(), all);
    auto next = gradient.begin();
    for (Group& group : groups_) {
      group.gradient.assign(next, next + std::ssize(group.sites));
      next += std::ssize(group.sites);
    }
  }

  /// By site, v . (H v) and |H v| with v = `scales` times random signs, v . (H v) over the squared scale.
  struct Result {
    std::vector<double> traces;
    std::vector<double> lengths;
  };
  [[nodiscard]] Result draw(std::int64_t number, const std::vector<double>& scales) const {
    const std::uint64_t seed = internal::mix(seed_, static_cast<std::uint64_t>(number));
    Result result{std::vector<double>(scales.size()), std::vector<double>(scales.size())};
    for (const Group& group : groups_) {
      Tensors signs;
      Tensors directions;
      for (std::size_t k = 0; k < group.sites.size(); ++k) {
        const std::size_t site = group.sites[k];
        signs.push_back(internal::random_signs(group.variables[k], internal::mix(seed, site)));
        directions.push_back(signs.back() * scales[site]);
      }
      const Tensors product = internal::products(metric_, group.gradient, directions, group.variables);
      for (std::size_t k = 0; k < group.sites.size(); ++k) {
        const std::size_t site = group.sites[k];
        result.traces[site] = (signs[k] * product[k]).sum(at::kDouble).item<double>() / scales[site];
        result.lengths[site] = product[k].to(at::kDouble).norm().item<double>();
      }
    }
    return result;
  }

  /// Backward passes of the graph and of one draw.
  static constexpr double kGraph = 1;
  [[nodiscard]] double passes_of_draw() const { return 2 * static_cast<double>(groups_.size()); }

 private:
  struct Group {
    std::vector<std::size_t> sites;
    Tensors variables;
    Tensors gradient;
  };

  std::string metric_;
  std::uint64_t seed_;
  std::vector<Group> groups_;
};

/// Traces by site, of the mean damage.
struct Traces {
  std::vector<double> values;
  std::vector<double> standard_errors;
  double forward_passes = 0;
  double backward_passes = 0;
};

bool has_additions(const Model& model) {
  return std::any_of(model.sites.begin(), model.sites.end(), [](const Site& site) { return !site.has_weight(); });
}

/// Lengths that make what a site gets from the others' probes small beside its own trace: |(H v)_l| goes with the root
/// of the trace, so v_l in inverse proportion to it balances all sites.
std::vector<double> balancing_scales(const SensitivityInput& input, const std::string& metric, GradientLoop& loop) {
  constexpr std::int64_t kDraws = 2;
  const std::vector<double> ones(input.model.sites.size(), 1);
  std::vector<double> lengths(input.model.sites.size());
  loop.run(
      kDraws,
      [&](const GradientPass& pass, const GradientLoop::StepFn& step) {
        const BlockProbe probe(input, metric, pass);
        for (std::int64_t i = 0; i < kDraws; ++i) {
          const auto drawn = probe.draw(-1 - i, ones);
          for (std::size_t site = 0; site < lengths.size(); ++site)
            lengths[site] = std::hypot(lengths[site], drawn.lengths[site]);
          step();
        }
        return BlockProbe::kGraph + kDraws * probe.passes_of_draw();
      },
      /*most_batches=*/1);
  const double longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<double> scales;
  for (const double length : lengths) scales.push_back(length > 0 ? longest / length : 1);
  return scales;
}

Traces measure_traces(const SensitivityInput& input, const std::string& metric, const HessianOptions& options) {
  const internal::PlainAttention plain_attention;
  GradientLoop loop(input, metric, {.inputs = has_additions(input.model), .second = true, .copies = 4});
  const std::vector<double> scales = balancing_scales(input, metric, loop);
  const internal::DrawLimits limits{options.probes, options.most_probes, options.standard_error};
  const std::size_t sites = input.model.sites.size();
  DrawnSums sums(loop.batches(), sites);
  while (const std::int64_t draws = sums.more(limits)) {
    const std::int64_t first = sums.draws();
    loop.run(draws, [&](const GradientPass& pass, const GradientLoop::StepFn& step) {
      const BlockProbe probe(input, metric, pass);
      for (std::int64_t i = 0; i < draws; ++i) {
        sums.add(pass.batch.index, probe.draw(first + i, scales).traces);
        step();
      }
      return BlockProbe::kGraph + static_cast<double>(draws) * probe.passes_of_draw();
    });
  }
  Traces traces{{}, {}, loop.forward_passes(), loop.backward_passes()};
  const auto samples = static_cast<double>(input.data.size());
  for (std::size_t i = 0; i < sites; ++i) {
    traces.values.push_back(sums.estimate(i) / samples);
    traces.standard_errors.push_back(sums.standard_error(i) / samples);
  }
  return traces;
}

class HessianTrace : public SensitivityMetric {
 public:
  explicit HessianTrace(const HessianOptions& options) : options_(options) {
    require_valid("Hessian options", validate(options));
  }

  [[nodiscard]] std::string name() const override { return "hessian"; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const final {
    const Traces traces = measure_traces(input, name(), options_);
    SensitivityTable table;
    for (std::size_t i = 0; i < traces.values.size(); ++i) {
      auto& scores = table.scores.emplace_back();
      auto& errors = table.standard_errors.emplace_back();
      for (const Precision precision : input.precisions) {
        const double factor = weight(input, i, precision);
        scores[precision] = factor * traces.values[i];
        errors[precision] = factor * traces.standard_errors[i];
      }
    }
    table.forward_passes = traces.forward_passes;
    table.backward_passes = traces.backward_passes;
    return table;
  }

  /// What a site's trace counts at a precision.
  [[nodiscard]] virtual double weight(const SensitivityInput&, std::size_t, Precision) const { return 1; }

  HessianOptions options_;
};

class HessianError final : public HessianTrace {
 public:
  using HessianTrace::HessianTrace;
  [[nodiscard]] std::string name() const override { return "hessian-error"; }

 private:
  /// Mean squared error of what the trace is of.
  [[nodiscard]] double weight(const SensitivityInput& input, std::size_t index, Precision precision) const override {
    const Site& site = input.model.sites[index];
    const SiteRanges& ranges = input.calibration.sites[index];
    if (!site.has_weight())
      return precision.activation_bits == 16 ? 0 : ranges.input.at(precision.activation_bits).mean_squared_error;
    if (precision.weight_bits == 16) return 0;
    const at::NoGradGuard no_gradient;
    const at::Tensor weight = input.model.tensors[static_cast<std::size_t>(site.weight)].detach();
    const at::Tensor error = quantize_weight(site, ranges, precision.weight_bits, weight) - weight;
    return error.square().mean(at::kDouble).item<double>();
  }
};

}  // namespace

std::vector<std::string> validate(const HessianOptions& options) {
  std::vector<std::string> violations;
  if (options.probes < 2) violations.push_back(message("probes is ", options.probes, ": at least 2 are needed"));
  if (options.most_probes < options.probes)
    violations.push_back(
        message("most_probes is ", options.most_probes, ": at least probes, ", options.probes, ", are needed"));
  if (!(options.standard_error > 0))
    violations.push_back(message("standard_error is ", options.standard_error, ": a share above 0 is needed"));
  return violations;
}

std::unique_ptr<SensitivityMetric> make_hessian(const HessianOptions& options) {
  return std::make_unique<HessianTrace>(options);
}

std::unique_ptr<SensitivityMetric> make_hessian_error(const HessianOptions& options) {
  return std::make_unique<HessianError>(options);
}

}  // namespace halftone
