#include "halftone/sensitivity/metric.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
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

double score_of(const SensitivityTable& table, const SensitivityInput& input, std::size_t site, Precision precision) {
  const auto found = table.scores[site].find(precision);
  if (found == table.scores[site].end())
    throw Error(Errc::Internal, message("metric ", table.metric, " gave no score for site \"",
                                        input.model.sites[site].name, "\" at precision ", precision));
  return found->second;
}

/// Negative scores become 0, those that are not finite the largest finite one at their precision.
void clamp_scores(SensitivityTable& table, const SensitivityInput& input) {
  const std::size_t sites = input.model.sites.size();
  if (table.scores.size() != sites)
    throw Error(Errc::Internal, message("metric ", table.metric, " scored ", table.scores.size(), " sites of ", sites,
                                        ": it must score all"));
  table.clamped.clear();
  for (const Precision precision : input.precisions) {
    std::optional<double> largest;
    for (std::size_t i = 0; i < sites; ++i)
      if (const double score = score_of(table, input, i, precision); std::isfinite(score))
        largest = std::max(largest.value_or(0), score);
    if (!largest)
      throw Error(Errc::NonFinite, message("metric ", table.metric, " gave no site a finite score at precision ",
                                           precision, ": look at the weights, the ranges and the data"));
    for (std::size_t i = 0; i < sites; ++i) {
      double& score = table.scores[i].at(precision);
      if (std::isfinite(score) && score >= 0) continue;
      table.clamped.push_back({.site = i, .precision = precision, .given = score});
      score = std::isfinite(score) ? 0 : *largest;
    }
  }
}

void require_pairs(const SensitivityMetric& metric, const SensitivityTable& table) {
  if (metric.gives_pairs() != table.pairs.has_value())
    throw Error(Errc::Internal, message("metric ", table.metric, " says that it ",
                                        metric.gives_pairs() ? "gives pairs, and gave none" : "gives no pairs, and did",
                                        ": see SensitivityMetric::gives_pairs"));
  if (table.pairs && table.pairs->sites() != table.scores.size())
    throw Error(Errc::Internal, message("metric ", table.metric, " gave a pair matrix of ", table.pairs->sites(),
                                        " sites and scores of ", table.scores.size()));
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

class KnownMetric final : public SensitivityMetric {
 public:
  explicit KnownMetric(SensitivityTable table) : table_(std::move(table)) {
    for (const ClampedScore& score : table_.clamped) table_.scores.at(score.site)[score.precision] = score.given;
  }

  [[nodiscard]] std::string name() const override { return table_.metric; }
  [[nodiscard]] bool gives_pairs() const override { return table_.pairs.has_value(); }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    SensitivityTable table{.metric = table_.metric, .pairs = table_.pairs};
    table.scores = chosen(table_.scores, input);
    if (!table_.standard_errors.empty()) table.standard_errors = chosen(table_.standard_errors, input);
    return table;
  }

  using ByPrecision = std::vector<std::map<Precision, double>>;

  [[nodiscard]] ByPrecision chosen(const ByPrecision& known, const SensitivityInput& input) const {
    ByPrecision numbers(input.model.sites.size());
    for (std::size_t site = 0; site < numbers.size(); ++site)
      for (const Precision precision : input.precisions) {
        if (site >= known.size() || !known[site].contains(precision))
          throw Error(Errc::InvalidArgument, message("the known sensitivities by ", table_.metric,
                                                     " have nothing of "
                                                     "site ",
                                                     site, " at precision ", precision));
        numbers[site][precision] = known[site].at(precision);
      }
    return numbers;
  }

  SensitivityTable table_;
};

}  // namespace

std::unique_ptr<SensitivityMetric> make_known_metric(SensitivityTable table) {
  return std::make_unique<KnownMetric>(std::move(table));
}

SensitivityTable SensitivityMetric::measure(const SensitivityInput& input) const {
  const auto start = std::chrono::steady_clock::now();
  const std::string metric = name();
  require_input(metric, input);
  if (input.monitor.stopped()) throw Stopped();
  SensitivityTable table = do_measure(input);
  table.metric = metric;
  table.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  clamp_scores(table, input);
  require_pairs(*this, table);
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
