#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "sensitivity/change_tables.hpp"
#include "sensitivity/drawn_sums.hpp"
#include "sensitivity/gradients.hpp"
#include "sensitivity/operand_errors.hpp"
#include "sensitivity/random.hpp"

namespace halftone {

namespace {

using internal::Change;
using internal::DrawnSums;
using internal::GradientLoop;
using internal::GradientPass;
using internal::OperandErrors;
using internal::Tensors;

/// |gradient * error|^2; 0 where there is no error.
double squared(const at::Tensor& gradient, const at::Tensor& error) {
  return error.defined() ? gradient.mul(error).square_().sum(at::kDouble).item<double>() : 0;
}

/// Draws every site's score from one batch, each by one backward pass.
class FisherDraws {
 public:
  FisherDraws(const SensitivityInput& input, const std::string& metric, const std::vector<Change>& rows,
              const OperandErrors& errors, const GradientPass& pass)
      : input_(input), metric_(metric), rows_(rows), errors_(errors), pass_(pass) {
    response_ = internal::response_of(input, metric, pass);
    for (std::size_t i = 0; i < input.model.sites.size(); ++i)
      for (const auto& variable : {pass.weights[i], pass.inputs[i]})
        if (variable.defined()) variables_.push_back(variable);
    input_errors_ = errors.inputs(pass);
  }

  /// By row, summed over samples.
  [[nodiscard]] std::vector<double> draw(std::int64_t number) const {
    const std::uint64_t seed = internal::mix(input_.seed, static_cast<std::uint64_t>(number));
    const Tensors gradients = internal::products(
        metric_, {response_}, {internal::signs_of_samples(response_, pass_.batch, seed)}, variables_);
    std::vector<double> scores;
    auto gradient = gradients.begin();
    for (std::size_t site = 0, row = 0; site < input_.model.sites.size(); ++site) {
      const at::Tensor of_weight = pass_.weights[site].defined() ? *gradient++ : at::Tensor();
      const at::Tensor of_input = *gradient++;
      for (; row < rows_.size() && rows_[row].front().first == site; ++row)
        scores.push_back((squared(of_weight, errors_.weight(site, rows_[row].front().second.weight_bits)) +
                          squared(of_input, input_errors_[row])) /
                         2);
    }
    return scores;
  }

 private:
  const SensitivityInput& input_;
  const std::string& metric_;
  const std::vector<Change>& rows_;
  const OperandErrors& errors_;
  const GradientPass& pass_;
  at::Tensor response_;
  Tensors variables_;
  Tensors input_errors_;
};

class Fisher final : public SensitivityMetric {
 public:
  explicit Fisher(const FisherOptions& options) : options_(options) {
    require_valid("Fisher options", validate(options));
  }

  [[nodiscard]] std::string name() const override { return "fisher"; }
  [[nodiscard]] std::string identity() const override {
    return internal::identity_of(name(), {options_.draws, options_.most_draws, options_.standard_error});
  }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    const std::string metric = name();
    GradientLoop loop(
        input, metric,
        {.inputs = true, .response = true, .copies = 2 + static_cast<std::int64_t>(input.precisions.size())});
    const std::vector<Change> rows = internal::single_changes(input);
    const OperandErrors errors(input);
    const internal::DrawLimits limits{options_.draws, options_.most_draws, options_.standard_error};
    DrawnSums sums(loop.batches(), rows.size());
    while (const std::int64_t draws = sums.more(limits)) {
      const std::int64_t first = sums.draws();
      loop.run(
          draws,
          [&](const GradientPass& pass, const GradientLoop::StepFn& step) {
            const FisherDraws of_batch(input, metric, rows, errors, pass);
            GradientLoop::Work work{.backward_passes = static_cast<double>(draws)};
            for (std::int64_t i = 0; i < draws; ++i) {
              const std::vector<double> drawn = of_batch.draw(first + i);
              work.results.insert(work.results.end(), drawn.begin(), drawn.end());
              step();
            }
            return work;
          },
          [&](std::int64_t batch, std::span<const double> drawn) { sums.add(batch, drawn); });
    }
    const auto samples = static_cast<double>(input.data.size());
    SensitivityTable table = internal::scored_table(
        input, rows, [&](std::size_t i) { return sums.estimate(i) / samples; },
        [&](std::size_t i) { return sums.standard_error(i) / samples; });
    table.forward_passes = loop.forward_passes();
    table.backward_passes = loop.backward_passes();
    return table;
  }

  FisherOptions options_;
};

}  // namespace

std::vector<std::string> validate(const FisherOptions& options) {
  return internal::validate_draws({options.draws, options.most_draws, options.standard_error}, "draws");
}

std::unique_ptr<SensitivityMetric> make_fisher(const FisherOptions& options) {
  return std::make_unique<Fisher>(options);
}

}  // namespace halftone
