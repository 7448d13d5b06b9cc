#include "halftone/sensitivity/metric.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "sensitivity/clamp_scores.hpp"
#include "sensitivity/complete_table.hpp"

namespace halftone {

namespace {

void require_input(const std::string& metric, const SensitivityInput& input) {
  if (input.model.sites.empty())
    throw Error(Errc::InvalidArgument,
                message("metric ", metric, ": the model has no sites to score: call prepare(model) first"));
  if (input.precisions.empty())
    throw Error(Errc::InvalidArgument, message("metric ", metric, ": no precisions to score, e.g. 8 and 4"));
  if (input.batch_size < 1 || input.threads < 1)
    throw Error(Errc::InvalidArgument, message("metric ", metric, ": batch_size is ", input.batch_size,
                                               " and threads is ", input.threads, ": both must be at least 1"));
  if (input.most_bytes < 0)
    throw Error(Errc::InvalidArgument,
                message("metric ", metric, ": most_bytes is ", input.most_bytes, ": it must be at least 0"));
  for (const Precision precision : input.precisions) {
    if (precision == k16)
      throw Error(Errc::InvalidArgument, message("metric ", metric,
                                                 ": precision 16 is the baseline that the others are "
                                                 "scored against: leave it out"));
    require_ranges(input.model, input.calibration, Plan::uniform(input.model.sites.size(), precision));
  }
}

void require_pairs(const SensitivityMetric& metric, const SensitivityTable& table) {
  if (metric.gives_pairs() != table.pairs.has_value())
    throw Error(Errc::Internal, message("metric ", table.metric, " says that it ",
                                        metric.gives_pairs() ? "gives pairs, and gave none" : "gives no pairs, and did",
                                        ": see SensitivityMetric::gives_pairs"));
}

class LambdaMetric final : public SiteMetric {
 public:
  LambdaMetric(std::string name, std::function<double(const SiteView&)> score)
      : name_(std::move(name)), score_(std::move(score)) {}

  [[nodiscard]] std::string name() const override { return name_; }

 private:
  [[nodiscard]] ScoreFn prepare(const SensitivityInput& input) const override {
    return [this, &input](std::size_t index, Precision precision) {
      const at::NoGradGuard no_gradient;
      const Site& site = input.model.sites[index];
      const SiteRanges& ranges = input.calibration.sites[index];
      SiteView view{.site = site, .ranges = ranges, .precision = precision, .weight = {}, .quantized_weight = {}};
      if (site.has_weight()) {
        view.weight = input.model.tensors[static_cast<std::size_t>(site.weight)].detach();
        view.quantized_weight = quantize_weight(site, ranges, precision.weight_bits, view.weight);
      }
      return score_(view);
    };
  }

  std::string name_;
  std::function<double(const SiteView&)> score_;
};

}  // namespace

SensitivityTable SensitivityMetric::measure(const SensitivityInput& input) const {
  const auto start = std::chrono::steady_clock::now();
  const std::string metric = name();
  require_input(metric, input);
  if (input.monitor.stopped()) throw Stopped();
  SensitivityTable table = do_measure(input);
  table.metric = metric;
  table.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  require_pairs(*this, table);
  internal::clamp_scores(table, input);
  if (const std::string text = internal::incompleteness(table, input.model.sites.size(), input.precisions);
      !text.empty())
    throw Error(Errc::Internal, message("metric ", metric, " gave a table that is not whole: ", text));
  return table;
}

SensitivityTable SiteMetric::do_measure(const SensitivityInput& input) const {
  const ScoreFn score = prepare(input);
  SensitivityTable table;
  table.scores.resize(input.model.sites.size());
  const std::int64_t total = std::ssize(table.scores);
  for (std::int64_t site = 0; site < total; ++site) {
    if (input.monitor.stopped()) throw Stopped();
    auto& scores = table.scores[static_cast<std::size_t>(site)];
    for (const Precision precision : input.precisions)
      scores[precision] = score(static_cast<std::size_t>(site), precision);
    input.monitor.report({.stage = "sense", .done = site + 1, .total = total, .detail = name()});
  }
  return table;
}

std::unique_ptr<SensitivityMetric> make_metric(std::string name, std::function<double(const SiteView&)> score) {
  return std::make_unique<LambdaMetric>(std::move(name), std::move(score));
}

}  // namespace halftone
