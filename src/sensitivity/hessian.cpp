#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "sensitivity/drawn_sums.hpp"
#include "sensitivity/gradients.hpp"
#include "sensitivity/hessian_probes.hpp"

namespace halftone {

namespace {

using internal::DrawnSums;
using internal::GradientLoop;
using internal::GradientPass;

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

Traces measure_traces(const SensitivityInput& input, const std::string& metric, const HessianOptions& options) {
  const bool by_weights = options.probe == HessianProbe::Weights;
  const std::optional<internal::PlainAttention> plain_attention =
      by_weights ? std::make_optional<internal::PlainAttention>() : std::nullopt;
  GradientLoop loop(input, metric,
                    {.inputs = has_additions(input.model),
                     .second = by_weights,
                     .response = !by_weights,
                     .copies = by_weights ? 4 : 2});
  const std::vector<double> scales =
      by_weights ? internal::balancing_scales(input, metric, loop) : std::vector<double>();
  const internal::DrawLimits limits{options.probes, options.most_probes, options.standard_error};
  const std::size_t sites = input.model.sites.size();
  DrawnSums sums(loop.batches(), sites);
  while (const std::int64_t draws = sums.more(limits)) {
    const std::int64_t first = sums.draws();
    loop.run(
        draws,
        [&](const GradientPass& pass, const GradientLoop::StepFn& step) {
          const auto probe = by_weights ? internal::probe_weights(input, metric, pass, scales)
                                        : internal::probe_outputs(input, metric, pass);
          GradientLoop::Work work{.backward_passes =
                                      probe->passes_before() + static_cast<double>(draws) * probe->passes_of_draw()};
          for (std::int64_t i = 0; i < draws; ++i) {
            const std::vector<double> drawn = probe->draw(first + i);
            work.results.insert(work.results.end(), drawn.begin(), drawn.end());
            step();
          }
          return work;
        },
        [&](std::int64_t batch, std::span<const double> drawn) { sums.add(batch, drawn); });
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
  [[nodiscard]] std::string identity() const final {
    const char* probe = options_.probe == HessianProbe::Outputs ? " outputs" : " weights";
    return internal::identity_of(name() + probe, {options_.probes, options_.most_probes, options_.standard_error});
  }

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
  return internal::validate_draws({options.probes, options.most_probes, options.standard_error}, "probes");
}

std::unique_ptr<SensitivityMetric> make_hessian(const HessianOptions& options) {
  return std::make_unique<HessianTrace>(options);
}

std::unique_ptr<SensitivityMetric> make_hessian_error(const HessianOptions& options) {
  return std::make_unique<HessianError>(options);
}

}  // namespace halftone
