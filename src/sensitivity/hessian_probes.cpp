#include "sensitivity/hessian_probes.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "halftone/core/error.hpp"
#include "sensitivity/gradient_checks.hpp"
#include "sensitivity/random.hpp"

namespace halftone::internal {

namespace {

/// What each site's trace is of.
const at::Tensor& variable_of(const GradientPass& pass, std::size_t site) {
  return pass.weights[site].defined() ? pass.weights[site] : pass.inputs[site];
}

class OutputProbe final : public TraceProbe {
 public:
  OutputProbe(const SensitivityInput& input, const std::string& metric, const GradientPass& pass)
      : metric_(metric), seed_(input.seed), batch_(pass.batch), response_(response_of(input, metric, pass)) {
    for (std::size_t i = 0; i < input.model.sites.size(); ++i) variables_.push_back(variable_of(pass, i));
  }

  [[nodiscard]] std::vector<double> draw(std::int64_t number) const override {
    const at::Tensor signs = signs_of_samples(response_, batch_, mix(seed_, static_cast<std::uint64_t>(number)));
    std::vector<double> traces;
    for (const auto& gradient : products(metric_, {response_}, {signs}, variables_))
      traces.push_back(gradient.square().sum(at::kDouble).item<double>());
    return traces;
  }
  [[nodiscard]] double passes_before() const override { return 0; }
  [[nodiscard]] double passes_of_draw() const override { return 1; }

 private:
  const std::string& metric_;
  std::uint64_t seed_;
  BatchRange batch_;
  at::Tensor response_;
  Tensors variables_;
};

class WeightProbe final : public TraceProbe {
 public:
  /// Builds the graph of the gradient.
  WeightProbe(const SensitivityInput& input, const std::string& metric, const GradientPass& pass,
              const std::vector<double>& scales)
      : metric_(metric), seed_(mix(input.seed, static_cast<std::uint64_t>(pass.batch.index))), scales_(scales) {
    for (const bool has_weight : {true, false}) {
      Group group;
      for (std::size_t i = 0; i < input.model.sites.size(); ++i) {
        if (input.model.sites[i].has_weight() != has_weight) continue;
        group.sites.push_back(i);
        group.variables.push_back(variable_of(pass, i));
      }
      if (!group.sites.empty()) groups_.push_back(std::move(group));
    }
    Tensors all;
    for (const Group& group : groups_) all.insert(all.end(), group.variables.begin(), group.variables.end());
    const Tensors gradient = differentiable_gradient(metric, input.task.damage(pass.outputs, pass.clean).sum(), all);
    auto next = gradient.begin();
    for (Group& group : groups_) {
      group.gradient.assign(next, next + std::ssize(group.sites));
      next += std::ssize(group.sites);
    }
  }

  [[nodiscard]] std::vector<double> draw(std::int64_t number) const override {
    std::vector<double> traces(scales_.size());
    multiply(number, [&](std::size_t site, const at::Tensor& direction, const at::Tensor& product) {
      traces[site] = (direction * product).sum(at::kDouble).item<double>() / (scales_[site] * scales_[site]);
    });
    return traces;
  }
  [[nodiscard]] double passes_before() const override { return 1; }
  [[nodiscard]] double passes_of_draw() const override { return 2 * static_cast<double>(groups_.size()); }

  /// Calls `use` with a site, v_l and (H v)_l.
  template <class Use>
  void multiply(std::int64_t number, const Use& use) const {
    const std::uint64_t seed = mix(seed_, static_cast<std::uint64_t>(number));
    for (const Group& group : groups_) {
      Tensors directions;
      for (std::size_t k = 0; k < group.sites.size(); ++k)
        directions.push_back(random_signs(group.variables[k], mix(seed, group.sites[k])) * scales_[group.sites[k]]);
      const Tensors product = products(metric_, group.gradient, directions, group.variables);
      for (std::size_t k = 0; k < group.sites.size(); ++k) use(group.sites[k], directions[k], product[k]);
    }
  }

 private:
  struct Group {
    std::vector<std::size_t> sites;
    Tensors variables;
    Tensors gradient;
  };

  const std::string& metric_;
  std::uint64_t seed_;
  const std::vector<double>& scales_;
  std::vector<Group> groups_;
};

}  // namespace

std::unique_ptr<TraceProbe> probe_outputs(const SensitivityInput& input, const std::string& metric,
                                          const GradientPass& pass) {
  return std::make_unique<OutputProbe>(input, metric, pass);
}

std::unique_ptr<TraceProbe> probe_weights(const SensitivityInput& input, const std::string& metric,
                                          const GradientPass& pass, const std::vector<double>& scales) {
  return std::make_unique<WeightProbe>(input, metric, pass, scales);
}

std::vector<double> balancing_scales(const SensitivityInput& input, const std::string& metric, GradientLoop& loop) {
  constexpr std::int64_t kDraws = 2;
  const std::vector<double> ones(input.model.sites.size(), 1);
  std::vector<double> lengths;
  loop.run(
      kDraws,
      [&](const GradientPass& pass, const GradientLoop::StepFn& step) {
        const WeightProbe probe(input, metric, pass, ones);
        GradientLoop::Work work{.results = std::vector<double>(ones.size()),
                                .backward_passes = probe.passes_before() + kDraws * probe.passes_of_draw()};
        for (std::int64_t i = 0; i < kDraws; ++i) {
          probe.multiply(-1 - i, [&](std::size_t site, const at::Tensor&, const at::Tensor& product) {
            work.results[site] = std::hypot(work.results[site], product.to(at::kDouble).norm().item<double>());
          });
          step();
        }
        return work;
      },
      [&](std::int64_t, std::span<const double> results) { lengths.assign(results.begin(), results.end()); },
      /*most_batches=*/1);
  const double longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<double> scales;
  for (const double length : lengths) scales.push_back(length > 0 ? longest / length : 1);
  return scales;
}

}  // namespace halftone::internal
