#include <ATen/ATen.h>

#include "halftone/sensitivity/metrics.hpp"
#include "sensitivity/change_tables.hpp"
#include "sensitivity/gradients.hpp"
#include "sensitivity/operand_errors.hpp"

namespace halftone {

namespace {

using internal::Change;
using internal::GradientLoop;
using internal::GradientPass;
using internal::OperandErrors;
using internal::Tensors;

/// The pair matrix of one batch, summed over its samples.
class BatchPairs {
 public:
  BatchPairs(const SensitivityInput& input, const std::string& metric, const std::vector<Change>& rows,
             const OperandErrors& errors, const GradientPass& pass)
      : metric_(metric), input_errors_(errors.inputs(pass)), products_(rows.size() * rows.size()) {
    for (std::size_t i = 0; i < input.model.sites.size(); ++i) operands_.push_back({pass.weights[i], pass.inputs[i]});
    for (const Change& row : rows) {
      const auto [site, precision] = row.front();
      rows_.push_back({site, errors.weight(site, precision.weight_bits), input_errors_[rows_.size()]});
    }
    const Tensors variables = variables_from(0);
    gradient_ = internal::differentiable_gradient(metric, input.task.damage(pass.outputs, pass.clean).sum(), variables);
  }

  /// d_row . (H d_j) for this row and those after it: what lies before needs no derivatives.
  void measure(std::size_t row) {
    const Row& from = rows_[row];
    const Tensors variables = variables_from(from.site);
    const auto skipped = static_cast<std::ptrdiff_t>(gradient_.size() - variables.size());
    auto gradient = gradient_.begin() + skipped;
    Tensors outputs;
    Tensors directions;
    const auto add = [&](const at::Tensor& output, const at::Tensor& direction) {
      if (!direction.defined()) return;
      outputs.push_back(output);
      directions.push_back(direction);
    };
    if (operands_[from.site].weight.defined()) add(*gradient++, from.weight_error);
    add(*gradient, from.input_error);
    if (outputs.empty()) return;
    const Tensors product = internal::products(metric_, outputs, directions, variables);
    auto next = product.begin();
    for (std::size_t site = from.site, column = 0; site < operands_.size(); ++site) {
      const at::Tensor of_weight = operands_[site].weight.defined() ? *next++ : at::Tensor();
      const at::Tensor of_input = *next++;
      for (; column < rows_.size() && rows_[column].site <= site; ++column)
        if (rows_[column].site == site && column >= row)
          set(row, column, dot(of_weight, rows_[column].weight_error) + dot(of_input, rows_[column].input_error));
    }
  }

  [[nodiscard]] std::vector<double> take() { return std::move(products_); }

 private:
  struct Operands {
    at::Tensor weight;
    at::Tensor input;
  };
  struct Row {
    std::size_t site;
    at::Tensor weight_error;
    at::Tensor input_error;
  };

  static double dot(const at::Tensor& product, const at::Tensor& error) {
    return error.defined() ? product.mul(error).sum(at::kDouble).item<double>() : 0;
  }

  void set(std::size_t i, std::size_t j, double value) {
    products_[i * rows_.size() + j] = products_[j * rows_.size() + i] = value;
  }

  [[nodiscard]] Tensors variables_from(std::size_t site) const {
    Tensors variables;
    for (; site < operands_.size(); ++site) {
      if (operands_[site].weight.defined()) variables.push_back(operands_[site].weight);
      variables.push_back(operands_[site].input);
    }
    return variables;
  }

  std::string metric_;
  Tensors input_errors_;
  std::vector<double> products_;
  std::vector<Operands> operands_;
  std::vector<Row> rows_;
  Tensors gradient_;
};

/// By site: what a backward pass that ends there costs, by multiply-accumulates.
std::vector<double> shares_from(const Model& model) {
  std::vector<double> shares(model.sites.size());
  double sum = 0;
  for (std::size_t i = shares.size(); i-- > 0;) shares[i] = sum += static_cast<double>(model.sites[i].macs);
  for (double& share : shares) share = sum > 0 ? share / sum : 1;
  return shares;
}

class HvpPairs final : public SensitivityMetric {
 public:
  [[nodiscard]] std::string name() const override { return "interlayer-hvp"; }
  [[nodiscard]] bool gives_pairs() const override { return true; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    const internal::PlainAttention plain_attention;
    const std::string metric = name();
    GradientLoop loop(
        input, metric,
        {.inputs = true, .second = true, .copies = 4 + static_cast<std::int64_t>(input.precisions.size())});
    const std::vector<Change> rows = internal::single_changes(input);
    const OperandErrors errors(input);
    const std::vector<double> shares = shares_from(input.model);
    std::vector<std::vector<double>> batches(static_cast<std::size_t>(loop.batches()));
    loop.run(
        std::ssize(rows),
        [&](const GradientPass& pass, const GradientLoop::StepFn& step) {
          BatchPairs pairs(input, metric, rows, errors, pass);
          double passes = 1;
          for (std::size_t i = 0; i < rows.size(); ++i) {
            pairs.measure(i);
            passes += 2 * shares[rows[i].front().first];
            step();
          }
          return GradientLoop::Work{pairs.take(), passes};
        },
        [&](std::int64_t batch, std::span<const double> results) {
          batches[static_cast<std::size_t>(batch)].assign(results.begin(), results.end());
        });
    return make_table(input, rows, batches, loop);
  }

  static SensitivityTable make_table(const SensitivityInput& input, const std::vector<Change>& rows,
                                     const std::vector<std::vector<double>>& batches, const GradientLoop& loop) {
    std::vector<double> values(rows.size() * rows.size());
    for (const auto& batch : batches)
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += batch[i] / static_cast<double>(input.data.size());
    std::vector<double> scores;
    for (std::size_t i = 0; i < rows.size(); ++i) scores.push_back(values[i * rows.size() + i] / 2);
    SensitivityTable table = internal::pair_table(
        input, [&](std::size_t i) { return scores[i]; }, std::move(values));
    table.forward_passes = loop.forward_passes();
    table.backward_passes = loop.backward_passes();
    return table;
  }
};

}  // namespace

std::unique_ptr<SensitivityMetric> make_hvp_pairs() { return std::make_unique<HvpPairs>(); }

}  // namespace halftone
