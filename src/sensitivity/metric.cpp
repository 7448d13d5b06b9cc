#include "halftone/sensitivity/metric.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

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
  for (const Precision precision : input.precisions) {
    if (precision == k16)
      throw Error(Errc::InvalidArgument, message("metric ", metric,
                                                 ": precision 16 is the baseline that the others are "
                                                 "scored against: leave it out"));
    require_ranges(input.model, input.calibration, Plan::uniform(input.model.sites.size(), precision));
  }
}

void check_scores(const SensitivityTable& table, const SensitivityInput& input) {
  const auto& sites = input.model.sites;
  if (table.scores.size() != sites.size())
    throw Error(Errc::Internal, message("metric ", table.metric, " scored ", table.scores.size(), " sites of ",
                                        sites.size(), ": it must score all"));
  for (std::size_t i = 0; i < sites.size(); ++i)
    for (const Precision precision : input.precisions) {
      const auto found = table.scores[i].find(precision);
      if (found == table.scores[i].end())
        throw Error(Errc::Internal, message("metric ", table.metric, " gave no score for site \"", sites[i].name,
                                            "\" at precision ", precision));
      if (!std::isfinite(found->second))
        throw Error(Errc::NonFinite,
                    message("metric ", table.metric, " scored site \"", sites[i].name, "\" at precision ", precision,
                            " as ", found->second, ": a score must be a finite number"));
    }
}

class LambdaMetric final : public SensitivityMetric {
 public:
  LambdaMetric(std::string name, std::function<double(const SiteView&)> score)
      : name_(std::move(name)), score_(std::move(score)) {}

  [[nodiscard]] std::string name() const override { return name_; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    const at::NoGradGuard no_gradient;
    SensitivityTable table;
    const std::int64_t total = std::ssize(input.model.sites);
    for (const Site& site : input.model.sites) {
      const SiteRanges& ranges = input.calibration.sites[table.scores.size()];
      const at::Tensor weight =
          site.has_weight() ? input.model.tensors[static_cast<std::size_t>(site.weight)].detach() : at::Tensor();
      auto& scores = table.scores.emplace_back();
      for (const Precision precision : input.precisions)
        scores[precision] =
            score_({.site = site,
                    .ranges = ranges,
                    .precision = precision,
                    .weight = weight,
                    .quantized_weight = site.has_weight() ? quantize_weight(site, ranges, precision.weight_bits, weight)
                                                          : at::Tensor()});
      input.monitor.report({.stage = "sense", .done = std::ssize(table.scores), .total = total, .detail = name_});
    }
    return table;
  }

  std::string name_;
  std::function<double(const SiteView&)> score_;
};

}  // namespace

SensitivityTable SensitivityMetric::measure(const SensitivityInput& input) const {
  const auto start = std::chrono::steady_clock::now();
  const std::string metric = name();
  require_input(metric, input);
  SensitivityTable table = do_measure(input);
  table.metric = metric;
  table.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  check_scores(table, input);
  return table;
}

std::unique_ptr<SensitivityMetric> make_metric(std::string name, std::function<double(const SiteView&)> score) {
  return std::make_unique<LambdaMetric>(std::move(name), std::move(score));
}

}  // namespace halftone
