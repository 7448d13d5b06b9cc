#include "halftone/sensitivity/metrics.hpp"
#include "sensitivity/sweep.hpp"

namespace halftone {

namespace {

using internal::BatchRange;
using internal::Change;
using internal::ChangeDamage;
using internal::Sweep;

/// Of each change, over all data.
ChangeDamage damage_of(const SensitivityInput& input, const std::vector<Change>& changes, Sweep& sweep) {
  ChangeDamage damage(input, changes.size());
  sweep.quantize(
      changes,
      [&](const BatchRange&, std::size_t, const Sweep::Outputs& outputs, const Sweep::Outputs& clean,
          std::vector<double>& results) { damage.append(outputs, clean, results); },
      [&](const BatchRange& batch, std::span<const double> results) { damage.keep(batch, results); });
  return damage;
}

class MeasuredDamage final : public SensitivityMetric {
 public:
  [[nodiscard]] std::string name() const override { return "damage"; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    Sweep sweep(input, *this);
    const std::vector<Change> changes = internal::single_changes(input);
    const ChangeDamage damage = damage_of(input, changes, sweep);
    const auto score = [&](std::size_t i) { return damage.mean(i); };
    const auto error = [&](std::size_t i) { return damage.standard_error(i); };
    const bool has_spread = input.data.size() > 1;
    SensitivityTable table =
        internal::scored_table(input, changes, score, has_spread ? internal::RowFn(error) : internal::RowFn());
    table.forward_passes = sweep.forward_passes();
    return table;
  }
};

class MeasuredPairs final : public SensitivityMetric {
 public:
  [[nodiscard]] std::string name() const override { return "interlayer-pairs"; }
  [[nodiscard]] bool gives_pairs() const override { return true; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    Sweep sweep(input, *this);
    std::vector<Change> changes = internal::single_changes(input);
    const std::size_t rows = changes.size();
    std::vector<std::pair<std::size_t, std::size_t>> pairs;  // of rows, in the order of the changes behind them
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = i + 1; j < rows; ++j) {
        if (changes[i].front().first == changes[j].front().first) continue;
        pairs.emplace_back(i, j);
        changes.push_back({changes[i].front(), changes[j].front()});
      }
    const ChangeDamage damage = damage_of(input, changes, sweep);

    std::vector<double> values(rows * rows);
    for (std::size_t i = 0; i < rows; ++i) values[i * rows + i] = 2 * damage.mean(i);
    for (std::size_t k = 0; k < pairs.size(); ++k) {
      const auto [i, j] = pairs[k];
      values[i * rows + j] = values[j * rows + i] = damage.mean(rows + k) - damage.mean(i) - damage.mean(j);
    }
    SensitivityTable table = internal::pair_table(
        input, [&](std::size_t i) { return damage.mean(i); }, std::move(values));
    table.forward_passes = sweep.forward_passes();
    return table;
  }
};

}  // namespace

std::unique_ptr<SensitivityMetric> make_damage() { return std::make_unique<MeasuredDamage>(); }
std::unique_ptr<SensitivityMetric> make_measured_pairs() { return std::make_unique<MeasuredPairs>(); }

}  // namespace halftone
