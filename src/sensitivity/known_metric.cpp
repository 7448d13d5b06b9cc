#include <nlohmann/json.hpp>

#include <utility>

#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/sensitivity/metric.hpp"

namespace halftone {

namespace {

class KnownMetric final : public SensitivityMetric {
 public:
  explicit KnownMetric(SensitivityTable table) : table_(std::move(table)) {
    for (const ClampedScore& score : table_.clamped) table_.scores.at(score.site)[score.precision] = score.given;
  }

  [[nodiscard]] std::string name() const override { return table_.metric; }
  [[nodiscard]] std::string identity() const override {
    return message(name(), " known ", Digest().add(nlohmann::json(table_).dump()).hex());
  }
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

}  // namespace halftone
